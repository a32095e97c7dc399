#!/usr/local/bin/node
// `smtp-relay-operator` in the image: there is no shell there to look for Node.
import "../../operator/main.js";
