import { expect, test } from "vitest";

import { countSyncs } from "./syncs.ts";

test("syncs are counted by phase, with writes to files that were opened to sync each", () => {
  const trace = String.raw`
10  openat(AT_FDCWD, "data.mdb", O_RDWR|O_DSYNC|O_CLOEXEC) = 21
10  openat(AT_FDCWD, "seg", O_RDWR <unfinished ...>
11  fsync(3) = 0
10  <... openat resumed>) = 22
10  write(9, "phase put\n", 10) = 10
11  fdatasync(22 <unfinished ...>
12  pwrite64(21, "x"..., 4096, 0) = 4096
12  pwrite64(22, "x"..., 4096, 0) = 4096
11  <... fdatasync resumed>) = 0
10  write(9, "phase remove\n", 13) = 13
12  msync(0x7f, 4096, MS_ASYNC) = 0
12  msync(0x7f, 4096, MS_SYNC) = 0
10  openat(AT_FDCWD, "seg", O_RDONLY) = 21
12  pwrite64(21, "x"..., 4096, 0) = 4096
`;
  expect([...countSyncs(trace)]).toEqual([
    ["", 1],
    ["put", 2],
    ["remove", 1],
  ]);
});
