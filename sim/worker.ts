// Runs the seeds it is sent, one at a time.
import { parentPort } from "node:worker_threads";
import { runSeed, type SeedOptions } from "./run-seed.js";

parentPort?.on("message", (options: Omit<SeedOptions, "print">) => {
  void runSeed({ ...options, print: null }).then((result) => parentPort?.postMessage(result));
});
