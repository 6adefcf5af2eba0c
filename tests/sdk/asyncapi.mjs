// Reads a list of AsyncAPI documents from stdin and prints what AsyncAPI's own parser says of each.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const parser = new Parser(); // it takes seconds to warm up
const judged = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) {
  const { document, diagnostics } = await parser.parse(text);
  const channels = document?.channels().all() ?? [];
  judged.push({
    diagnostics: diagnostics.map(({ severity, code, message }) => ({ severity, code, message })),
    channels: channels.map((channel) => ({
      address: channel.address(),
      messages: channel.messages().all().map((message) => message.name()),
    })),
    operations: document?.operations().all().map((operation) => operation.action()) ?? [],
  });
}
console.log(JSON.stringify(judged));
