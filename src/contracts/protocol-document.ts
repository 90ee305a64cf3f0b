// The generated part of docs/protocol.md: every message with its fields, every limit, close code and input layout, made
// from the schemas and tables that the program runs by. It cannot say anything the sockets do not do.
import * as z from "zod";
import { type Field, fieldBytes, inputHeaderBytes, inputLayout, isStateKind, keepalive, keyCodes } from "./input.js";
import { lineLimits } from "./line.js";
import { receiptInputLayout, receiptLayout } from "./receipts.js";
import { routeLimits } from "./route.js";
import { rumbleBytes, rumbleKind, rumbleLayout } from "./rumble.js";
import { closeCodes, fromAgent, fromPlayer, hello, signallingLimits, toAgent, toPlayer } from "./signalling.js";

/** As much of JSON Schema as our messages use. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly multipleOf?: number;
  readonly format?: string;
}
type Definitions = Readonly<Record<string, Schema>>;

const sockets = [
  { title: "Player → ingest, first, on both sockets", schema: hello },
  { title: "Player → ingest, on the signalling socket", schema: fromPlayer },
  { title: "Ingest → player", schema: toPlayer },
  { title: "Ingest → agent", schema: toAgent },
  { title: "Agent → ingest", schema: fromAgent },
] as const;

const limitValues = { ...signallingLimits, ...routeLimits, ...lineLimits };
const limits = {
  messageBytesMax: ["a message, in bytes", "closed with 1009"],
  helloMsMax: ["until the hello, in ms", "closed with 4408"],
  pingMs: ["between two pings of a side, in ms", "a player's client says `ping`, ingest sends WebSocket pings"],
  silenceMsMax: ["without hearing anything, not even a pong, in ms", "the socket is cut, by either side"],
  messagesPerSecondMax: ["signalling messages a second; three seconds' worth may come at once", "closed with 4429"],
  controlMessagesPerSecondMax: ["control messages a second, likewise", "closed with 4429"],
  agentMessagesPerSecondMax: ["an agent's messages a second, likewise", "closed with 4429"],
  bufferedBytesMax: [
    "left unread by a side, in bytes (setting `bufferedBytesMax`)",
    "the socket is cut, without a code",
  ],
  socketsPerSessionMax: [
    "sockets of one session and kind (setting `socketsPerSessionMax`)",
    "the oldest that has not joined is closed with 4429",
  ],
  candidatesPerConnectionMax: ["ICE candidates for one offer", "more are ignored"],
  requestsPer10sMax: [
    "requests in 10 s, those for sockets among them: of one key, cookie, agent or ticket, else of one address",
    "answered with 429",
  ],
  unackedMessagesMax: [
    "numbered messages of an end that are not acked",
    "the line is given up, the next hello has another",
  ],
} as const satisfies Record<keyof typeof limitValues, readonly [what: string, atTheLimit: string]>;

const closings = {
  ended: ["the session has ended", "nothing: the `ended` message before it says why"],
  badMessage: ["a message has not the documented form, or an offer no answer", "mend the client"],
  unauthenticated: ["the ticket is forged, expired or used; the resume secret is wrong", "get a fresh ticket"],
  forbidden: ["the ticket is another session's", "get a ticket for this session"],
  notFound: ["there is no such session", "start a new one"],
  helloTimeout: ["no hello came in time", "reconnect"],
  takenOver: ["another player took the session over", "tell the player"],
  unsupportedVersion: ["the hello's version is not spoken here", "load the player anew"],
  tooFast: ["too many messages, or sockets of one session", "slow down, reconnect"],
  unavailable: ["the session's machine or a service does not answer", "reconnect with back-off"],
} as const satisfies Record<keyof typeof closeCodes, readonly [meaning: string, then: string]>;

const begin = "<!-- Made from src/contracts by `npm run openapi`; not to be written by hand. -->";
const end = "<!-- Until here. -->";

/** What stands between the marks; null where there are none. */
export const generatedPart = (page: string): string | null =>
  page.includes(begin) && page.includes(end) ? page.split(begin)[1]!.split(end)[0]! : null;

/** The page with its generated part made anew. */
export function withSections(page: string): string {
  if (generatedPart(page) === null) throw new Error("the page does not mark where its generated part stands");
  return `${page.split(begin)[0]}${begin}\n\n${protocolSections()}\n\n${end}${page.split(end)[1]}`;
}

/** The sections, in Markdown. */
export function protocolSections(): string {
  return [
    "## Messages",
    ...sockets.flatMap(({ title, schema }) => [`### ${title}`, ...messagesOf(schema)]),
    "## Limits",
    table(
      ["limit", "", "at the limit"],
      Object.entries(limits).map(([name, [what, then]]) => {
        const value = limitValues[name as keyof typeof limits].toLocaleString("en");
        return [value, what, then];
      }),
    ),
    "## Close codes",
    table(
      ["code", "meaning", "what to do"],
      Object.entries(closings).map(([name, [meaning, then]]) => [
        String(closeCodes[name as keyof typeof closings]),
        meaning,
        then,
      ]),
    ),
    "## Input messages",
    ...inputSections(),
    "## Receipts of frames",
    layoutTable(receiptLayout),
    "Then, as often as `inputs` says:",
    layoutTable(receiptInputLayout),
  ].join("\n\n");
}

function messagesOf(zod: z.ZodType): string[] {
  const { $defs = {}, ...root } = z.toJSONSchema(zod, { io: "input" }) as Schema & { $defs?: Definitions };
  return (root.anyOf ?? root.oneOf ?? [root]).flatMap((message) => {
    const { type, ...fields } = message.properties ?? {};
    const rows = Object.entries(fields).flatMap(([name, field]) =>
      fieldRows(name, field, isRequired(message, name), $defs),
    );
    const heading = `**\`${String(type?.const)}\`**${message.description === undefined ? "" : `: ${message.description}.`}`;
    return [heading, ...(rows.length === 0 ? [] : [table(["field", "type", ""], rows)])];
  });
}

const isRequired = ({ required = [] }: Schema, name: string) => required.includes(name);

/** One row for the field, and one for each field within it. */
function fieldRows(path: string, given: Schema, required: boolean, definitions: Definitions): string[][] {
  const field = resolve(given, definitions);
  const inner = fieldsWithin(path, field, definitions);
  const type = `${typeOf(field, definitions)}${required ? "" : ", optional"}`;
  return [[`\`${path}\``, type, given.description ?? field.description ?? ""], ...inner];
}

function fieldsWithin(path: string, field: Schema, definitions: Definitions): string[][] {
  if (field.items !== undefined) return fieldsWithin(`${path}[]`, resolve(field.items, definitions), definitions);
  const alternatives = alternativesOf(field, definitions);
  if (alternatives.some(isMessage)) return [];
  if (alternatives.length > 0) return alternatives.flatMap((one) => fieldsWithin(path, one, definitions));
  return Object.entries(field.properties ?? {}).flatMap(([name, inner]) =>
    fieldRows(`${path}.${name}`, inner, isRequired(field, name), definitions),
  );
}

const alternativesOf = ({ anyOf, oneOf }: Schema, definitions: Definitions) =>
  (anyOf ?? oneOf ?? []).map((one) => resolve(one, definitions));

const isMessage = ({ properties }: Schema) => properties?.type?.const !== undefined;

function resolve(schema: Schema, definitions: Definitions): Schema {
  const name = schema.$ref?.replace("#/$defs/", "");
  return name === undefined ? schema : (definitions[name] ?? schema);
}

function typeOf(schema: Schema, definitions: Definitions): string {
  const alternatives = alternativesOf(schema, definitions);
  if (alternatives.length > 0) return [...new Set(alternatives.map((one) => typeOf(one, definitions)))].join(" or ");
  if (isMessage(schema)) return `the message \`${schema.properties?.type?.const}\``;
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(", ");
  if (schema.items !== undefined) return `array of ${typeOf(resolve(schema.items, definitions), definitions)}s`;
  return `${[schema.type].flat().join(" or ")}${bounds(schema)}`;
}

function bounds({ type, minLength = 0, maxLength, minimum, maximum, multipleOf, format }: Schema): string {
  if (type === "string" && maxLength !== undefined)
    return `, ${minLength}–${maxLength.toLocaleString("en")} characters`;
  if (type === "string" && format !== undefined) return `, ${format}`;
  const bounded = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  const even = multipleOf === 2 ? ", even" : "";
  return bounded ? `, ${minimum}–${maximum}${even}` : "";
}

function inputSections(): string[] {
  const rows = Object.entries(inputLayout).map(([kind, fields], number) => [
    String(number),
    kind,
    fieldWords(fields) || "none",
    String(inputHeaderBytes + fieldBytes(fields)),
    isStateKind(kind as keyof typeof inputLayout) ? "`state`" : "`input`",
  ]);
  return [
    table(["kind", "name", "fields", "bytes", "channel"], rows),
    `The single byte 0x${keepalive.toString(16)} on \`input\` or the control socket is a keep-alive, sent every second.`,
    "Machine → page, on `input` in the other direction:",
    table(
      ["kind", "name", "fields from byte 1", "bytes"],
      [[String(rumbleKind), "rumble", fieldWords(rumbleLayout), String(rumbleBytes)]],
    ),
    "Keys are `KeyboardEvent.code` by number, physical keys whatever the layout:",
    keyCodes.map((code, number) => `${number} ${code}`).join(" · "),
  ];
}

const fieldWords = (fields: readonly Field[]) =>
  fields.map(({ name, type, meaning }) => `${type} ${name}: ${meaning}`).join("; ");

/** The fields of a binary message, or of a part of one, by where they stand in it. */
function layoutTable(fields: readonly Field[]): string {
  const rows = fields.map(({ name, type, meaning }, i) => {
    const from = fieldBytes(fields.slice(0, i));
    const to = fieldBytes(fields.slice(0, i + 1)) - 1;
    return [from === to ? `${from}` : `${from}–${to}`, type, name, meaning];
  });
  return table(["bytes", "type", "field", ""], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
