import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, beforeEach, expect, it } from "vitest";
import { TurnLeg } from "./turn-leg.js";

let server: Socket;
let agent: Socket;
let leg: TurnLeg;

beforeEach(async () => {
  server = createSocket("udp4").bind(0, "127.0.0.1");
  agent = createSocket("udp4").bind(0, "127.0.0.1");
  await Promise.all([once(server, "listening"), once(agent, "listening")]);
  leg = await TurnLeg.open({ hostname: "localhost", port: server.address().port }, undefined);
});
afterEach(() => {
  leg[Symbol.dispose]();
  server.close();
  agent.close();
});

type Heard = [datagram: Buffer, from: { port: number; address: string }];

/** Says it to the leg until the server has it: before the name is resolved it is dropped, as TURN clients are used to. */
async function ask(words: string): Promise<Heard> {
  const heard = once(server, "message") as Promise<Heard>;
  const say = () => agent.send(words, leg.near.port, leg.near.hostname);
  const again = setInterval(say, 20);
  say();
  const answer = await heard;
  clearInterval(again);
  return answer;
}

it("passes datagrams to the server and back", async () => {
  const [said, from] = await ask("allocate");
  expect(said.toString()).toBe("allocate");
  const answered = once(agent, "message") as Promise<Heard>;
  server.send("allocated", from.port, from.address);
  expect((await answered)[0].toString()).toBe("allocated");
});

it("lets nobody but the server in, and nobody but its first user out", async () => {
  const [, from] = await ask("allocate");
  const stranger = createSocket("udp4").bind(0, "127.0.0.1");
  await once(stranger, "listening");
  stranger.send("let me in", from.port, "127.0.0.1");
  stranger.send("let me out", leg.near.port, "127.0.0.1");
  const answered = once(agent, "message") as Promise<Heard>;
  server.send("allocated", from.port, from.address);
  expect((await answered)[0].toString(), "what the stranger said was sent before").toBe("allocated");
  const [next] = await ask("refresh");
  expect(["allocate", "refresh"]).toContain(next.toString());
  stranger.close();
});

it("to a name that does not exist leads nowhere, and harms nobody", async () => {
  const nowhere = await TurnLeg.open({ hostname: "no-such-host.invalid", port: 3478 }, undefined);
  agent.send("allocate", nowhere.near.port, nowhere.near.hostname);
  await ask("the other leg goes on");
  nowhere[Symbol.dispose]();
});
