/** Where a message's content lies, as the log says it. */
/** Where the blocks of a message's content begin: in a shared segment, or (null) in a file of its own. */
export type ContentLocation = { readonly segment: number; readonly offset: number } | null;
