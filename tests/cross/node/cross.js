// Reads vectors.json with avsc, and writes what it read: for each vector an object with what is wrong, or with avsc's
// own encodings.
//
// Usage: node cross.js VECTORS_JSON

import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import avro from "avsc";

// A long as a BigInt: without this, avsc refuses those beyond 2^53.
const LONG = avro.types.LongType.__with({
  fromBuffer: (buffer) => buffer.readBigInt64LE(),
  toBuffer(value) {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(value);
    return buffer;
  },
  fromJSON: (number) => BigInt(number),
  toJSON: (value) => Number(value),
  isValid: (value) => typeof value === "bigint" && BigInt.asIntN(64, value) === value,
  compare: (one, other) => (one === other ? 0 : one < other ? -1 : 1),
});

function typeOf(schema) {
  const typeHook = (part) => (part === "long" || part.type === "long" ? LONG : undefined);
  return avro.Type.forSchema(JSON.parse(schema), { typeHook, wrapUnions: true });
}

function value(vector, result) {
  const type = typeOf(vector.schema);
  const fromBinary = type.fromBuffer(Buffer.from(vector.binary, "hex"));
  result.binary = type.toBuffer(fromBinary).toString("hex");
  result.json = type.toString(fromBinary);
  const fromJson = type.fromString(vector.json);
  if (!isDeepStrictEqual(fromJson, fromBinary)) result.wrong = "it's another value in JSON than in binary";
}

function resolution(vector, result) {
  const [writer, reader] = [typeOf(vector.schema), typeOf(vector.reader)];
  result.json = reader.toString(reader.fromBuffer(Buffer.from(vector.binary, "hex"), reader.createResolver(writer)));
}

function attempt(vector, check) {
  const result = { name: vector.name };
  try {
    check(vector, result);
  } catch (error) {
    result.wrong = String(error);
  }
  return result;
}

const vectors = JSON.parse(readFileSync(process.argv[2], "utf-8"));
const results = [
  ...vectors.values.map((vector) => attempt(vector, value)),
  ...vectors.resolutions.map((vector) => attempt(vector, resolution)),
];
console.log(JSON.stringify(results));
