/**
 * The relay under test: the program as it ships, with the stand-ins of bundle.ts in it, and a point around
 * each 250 that names a queue id.
 */
import "./reply.ts";
import "../../../relay/main.ts";
