// node tcp-door.mjs LISTEN_ADDRESS TARGET_ADDRESS PORT: passes TCP connections on, as a reverse proxy in front would.
import { connect, createServer } from "node:net";

const [listenAddress, targetAddress, port] = process.argv.slice(2);
createServer((near) => {
  const far = connect(Number(port), targetAddress);
  near.pipe(far).pipe(near);
  near.on("error", () => far.destroy());
  far.on("error", () => near.destroy());
}).listen(Number(port), listenAddress, () => console.log("open"));
