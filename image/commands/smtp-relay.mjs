#!/usr/local/bin/node
// `smtp-relay` in the image, for `kubectl exec`: there is no shell there to look for Node.
import "../../relay/cli/main.js";
