import { describe, expect, it } from "vitest";
import { Nodes } from "./nodes.js";

const urls = (host: string) => ({ signalling: `wss://${host}/signalling`, control: `wss://${host}/control` });

describe("the nodes a player may go by", () => {
  it("take turns, signalling and control together, the given one first", () => {
    const nodes = new Nodes({ ...urls("a"), others: [urls("b"), urls("c")], iceServers: [] });
    const visited = [0, 1, 2, 3].map(() => {
      const at = { signalling: nodes.signalling, control: nodes.control };
      nodes.next();
      return at;
    });
    expect(visited).toEqual([urls("a"), urls("b"), urls("c"), urls("a")]);
  });

  it("are the one, where there is no other", () => {
    const nodes = new Nodes({ ...urls("a"), iceServers: [] });
    nodes.next();
    expect(nodes.signalling).toBe(urls("a").signalling);
  });
});
