// Commands, events and a query in Avro JSON over plain AMQP. See docs/reference/wire.md.
//
// Usage: node speak_json.js AMQP_URL

import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const PATIENCE_MS = 30_000; // for a reply or an event
const PARTITIONS = 2;
const READING = {
  type: "record",
  name: "Reading",
  fields: [
    { name: "station", type: "string" },
    { name: "celsius", type: ["null", "double"] },
    { name: "at", type: { type: "long", logicalType: "timestamp-millis" } },
  ],
};

/** A promise that can be kept from outside, and breaks after a while. */
class Awaited {
  constructor(what) {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.timer = setTimeout(() => reject(new Error(`no ${what}`)), PATIENCE_MS);
    });
  }

  keep(value) {
    clearTimeout(this.timer);
    this.resolve(value);
  }
}

/** A connection with a queue for replies and one for events. */
class Platform {
  #awaitedReplies = new Map(); // by correlation id
  #seen = new Map(); // events by id: one that comes twice counts once
  #follower = null;

  static async connect(url) {
    const platform = new Platform();
    platform.connection = await amqp.connect(url);
    platform.channel = await platform.connection.createConfirmChannel();
    await platform.#listen();
    return platform;
  }

  async #listen() {
    const { channel } = this;
    this.replies = (await channel.assertQueue("", { exclusive: true })).queue;
    await channel.consume(this.replies, (message) => this.#takeReply(message));
    // Of a subscriber that may not miss anything the queue would have a name, be durable, and not be exclusive.
    const events = (await channel.assertQueue("", { exclusive: true })).queue;
    await channel.bindQueue(events, "lake.events", "*.lake.#");
    await channel.consume(events, (message) => this.#takeEvent(message));
  }

  /** Send a command and wait for its outcome. A retry has the same id and the same body. */
  async send(type, message, actorId, id = randomUUID()) {
    const headers = { "actor-id": actorId };
    return (await this.#speak("lake.commands", type, message, { messageId: id, persistent: true, headers })).body;
  }

  /** Ask a query; the answer reflects everything up to a position. */
  async ask(type, message, afterPosition) {
    const headers = { "after-position": afterPosition, "timeout-ms": 5000 };
    const reply = await this.#speak("lake.queries", type, message, { messageId: randomUUID(), headers });
    return [reply.type, reply.body];
  }

  /** Events up to a position, in the order they came. */
  async follow(untilPosition) {
    this.#follower = { untilPosition, awaited: new Awaited(`event up to position ${untilPosition}`) };
    this.#tellFollower();
    return this.#follower.awaited.promise;
  }

  close() {
    return this.connection.close();
  }

  async #speak(exchange, type, message, properties) {
    const reply = new Awaited(`reply to ${type} ${properties.messageId}`);
    this.#awaitedReplies.set(properties.messageId, reply);
    this.channel.publish(exchange, type, Buffer.from(JSON.stringify(message)), {
      ...properties,
      type,
      contentType: "application/avro+json",
      replyTo: this.replies,
      timestamp: Math.floor(Date.now() / 1000),
      appId: "speak_json",
    });
    await this.channel.waitForConfirms(); // from here on the broker has it safely
    return reply.promise;
  }

  #takeReply(message) {
    this.channel.ack(message);
    const { correlationId, type } = message.properties;
    const body = JSON.parse(message.content); // numbers beyond 2^53 would need a parser that knows BigInt
    this.#awaitedReplies.get(correlationId)?.keep({ type, body }); // a reply to something else came too late
    this.#awaitedReplies.delete(correlationId);
  }

  #takeEvent(message) {
    this.channel.ack(message);
    const { messageId, type, headers } = message.properties;
    if (!this.#seen.has(messageId)) {
      this.#seen.set(messageId, {
        routing_key: message.fields.routingKey,
        type,
        position: headers.position,
        version: headers.version,
        caused_by: headers["causation-id"],
        data: JSON.parse(message.content),
      });
    }
    this.#tellFollower();
  }

  #tellFollower() {
    const events = [...this.#seen.values()];
    if (events.some((event) => event.position >= this.#follower?.untilPosition)) this.#follower.awaited.keep(events);
  }
}

/** Where the records of a station go: as lake.AppendRecords says. */
function partitionOf(station) {
  return crc32(station) % PARTITIONS;
}

/** CRC-32 of a text in UTF-8. (Node.js 22 has it in `node:zlib`.) */
function crc32(text) {
  let sum = ~0;
  for (const byte of Buffer.from(text)) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

function show(step, result) {
  console.log(JSON.stringify({ step, result }));
}

async function main(url) {
  const platform = await Platform.connect(url);
  const id = randomUUID();
  const dataset = `readings-${id.slice(0, 8)}`;

  // A union that isn't null is tagged with its branch: {"string": "station"}.
  const key = { string: "station" };
  const create = { name: "Readings", schema: JSON.stringify(READING), key, partitions: PARTITIONS };
  show("created", await platform.send("lake.CreateDataset", create, dataset, id));
  show("retried", await platform.send("lake.CreateDataset", create, dataset, id));
  show("rejected", await platform.send("lake.CreateDataset", create, dataset));
  show("failed", await platform.send("lake.CreateDataset", { name: 1 }, dataset));

  const records = [
    { station: "KJFK", celsius: { double: 3.9 }, at: 1357034400000 },
    { station: "KJFK", celsius: null, at: 1357038000000 },
  ];
  const append = { records: JSON.stringify(records) };
  const outcome = await platform.send("lake.AppendRecords", append, `${dataset}:${partitionOf("KJFK")}`);
  show("appended", outcome);
  show("events", await platform.follow(outcome.position));

  const find = { dataset, where: [{ field: "celsius", op: "NOT_NULL", value: "null" }] };
  show("found", await platform.ask("lake.FindRecords", find, outcome.position));
  show("unknown", await platform.ask("lake.GetDataset", { dataset: "nowhere" }, 0));
  await platform.close();
}

await main(process.argv[2]);
