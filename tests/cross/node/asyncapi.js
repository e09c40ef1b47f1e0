// Checks an AsyncAPI document, read from standard input, with AsyncAPI's own parser, and prints what is wrong with it.
//
// Usage: node asyncapi.js < DOCUMENT

import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf-8"));
const found = diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path: path.join("/") }));
const messages = document?.allMessages().all().map((message) => ({
  name: message.name(),
  type: message.bindings().get("amqp")?.value().messageType,
  required: message.headers()?.json().required,
  fields: Object.keys(message.payload()?.json().properties ?? {}),
}));
console.log(JSON.stringify({ valid: document !== undefined, diagnostics: found, messages }));
