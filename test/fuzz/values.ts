// fast-check arbitraries read off the contracts' zod schemas, by way of the JSON Schema that zod writes of them: who
// changes a contract changes what is tried on it.
import fc from "fast-check";
import * as z from "zod";

/** As much of JSON Schema as zod writes of our contracts. */
interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly propertyNames?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly multipleOf?: number;
}

/** For fields where a guess would never hit (another session's ids, above all): what to say there, by their names. */
export type KnownValues = Readonly<Record<string, readonly string[]>>;

interface Context {
  readonly known: KnownValues;
  readonly definitions: Readonly<Record<string, Schema>>;
}

/** What the schema takes, as it stands on the wire. */
export function valuesOf(schema: z.ZodType, known: KnownValues = {}): fc.Arbitrary<unknown> {
  const written = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Schema;
  return valuesBy(written, { known, definitions: written.$defs ?? {} }).filter(
    (value) => schema.safeParse(value).success,
  );
}

function valuesBy(schema: Schema, context: Context): fc.Arbitrary<unknown> {
  const { $ref, anyOf, oneOf, type } = schema;
  if ($ref !== undefined) return valuesBy(context.definitions[$ref.split("/").at(-1)!]!, context);
  const choices = oneOf ?? anyOf;
  if (choices !== undefined) return fc.oneof(...choices.map((choice) => valuesBy(choice, context)));
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (typeof type === "object") return fc.oneof(...type.map((one) => valuesBy({ ...schema, type: one }, context)));
  switch (type) {
    case "object":
      return objects(schema, context);
    case "array":
      if (schema.prefixItems !== undefined)
        return fc.tuple(...schema.prefixItems.map((item) => valuesBy(item, context)));
      return fc.array(valuesBy(schema.items ?? {}, context), { maxLength: Math.min(3, schema.maxItems ?? 3) });
    case "string":
      return strings(schema);
    case "integer":
    case "number":
      return numbers(schema);
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    default:
      return fc.constant(new Uint8Array(5)); // Of our schemas only input's bytes cannot be written as JSON Schema.
  }
}

function objects(schema: Schema, context: Context): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], propertyNames, additionalProperties } = schema;
  if (propertyNames !== undefined && typeof additionalProperties === "object") {
    const names = valuesBy(propertyNames, context) as fc.Arbitrary<string>;
    return fc.dictionary(names, valuesBy(additionalProperties, context), { maxKeys: 2 });
  }
  const fields = Object.entries(properties).map(([name, field]) => {
    const values = context.known[name];
    const any = valuesBy(field, context);
    return [name, values === undefined ? any : fc.oneof(fc.constantFrom(...values), any)] as const;
  });
  return fc.record(Object.fromEntries(fields), { requiredKeys: [...required], noNullPrototype: true });
}

function strings({ minLength = 0, maxLength = 40, pattern, format }: Schema): fc.Arbitrary<string> {
  if (format === "uri") return fc.webUrl();
  const length = { minLength, maxLength: Math.max(minLength, Math.min(maxLength, 40)) };
  if (pattern === undefined) return fc.oneof(fc.string(length), fc.string({ ...length, unit: "binary" }));
  const examples = [
    "demo",
    "s_1",
    "vm-1",
    "/games/demo",
    "folder/file",
    "NAME",
    "stun:a.example",
    "turn:a.example:3478",
    "2026-01-01T00:00:00.000Z",
  ];
  return fc.constantFrom(...examples.filter((example) => new RegExp(pattern, "u").test(example)));
}

function numbers({ type, minimum, exclusiveMinimum, maximum, multipleOf = 1 }: Schema): fc.Arbitrary<number> {
  const min = minimum ?? exclusiveMinimum ?? -1_000;
  const max = maximum ?? Math.max(min, 0) + 1_000_000;
  if (type === "number") return fc.double({ min, max, noNaN: true, minExcluded: exclusiveMinimum !== undefined });
  return fc
    .integer({ min: Math.ceil(min / multipleOf), max: Math.floor(max / multipleOf) })
    .map((steps) => steps * multipleOf);
}
