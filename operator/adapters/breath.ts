/**
 * Lets the process do other things between two pieces of work: of all who wait for a breath, one goes on in each
 * turn of the event loop. Without that, passes whose answers arrived together share one turn, and no timer, watch
 * or probe is heard until all are done.
 */
export function createBreath(): () => Promise<void> {
  const waiting: (() => void)[] = [];
  const turn = () => {
    const next = waiting.shift();
    if (waiting.length > 0) setImmediate(turn);
    next?.();
  };
  return () =>
    new Promise((resolve) => {
      if (waiting.push(resolve) === 1) setImmediate(turn);
    });
}
