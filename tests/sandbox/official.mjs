// Drives a Cargo through its official client; prints what it saw as one JSON document.
import { buildApi } from "@cargo-ai/api";

const [baseUrl, accessToken] = process.argv.slice(2);
const { ai } = buildApi({ baseUrl, accessToken });
const connectorUuid = "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f";
const agentUuid = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
const caught = (promise) => promise.then(() => null, ({ message, reason, status }) => ({ message, reason, status }));

const seen = {};
seen.created = (
  await ai.chat.create({ agentUuid, name: "Ticket 7", trigger: { type: "connector", connectorUuid, meta: { ticket: 7 } } })
).chat;
const chatUuid = seen.created.uuid;
seen.other = (await ai.chat.create({ trigger: { type: "app" } })).chat;
seen.got = (await ai.chat.get(chatUuid)).chat;
seen.listed = (await ai.chat.list({ triggerType: "connector", limit: 10, offset: 0 })).chats;
seen.said = await ai.message.create({ chatUuid, parts: [{ type: "text", text: "Hello" }] });
seen.waiting = (await ai.chat.list({ messageStatuses: ["pending", "generating"] })).chats;
seen.unfinished = await caught(ai.message.create({ chatUuid, parts: [{ type: "text", text: "Again" }] }));
seen.messages = (await ai.message.list({ chatUuid })).messages;
seen.message = (await ai.message.get(seen.said.assistantMessage.uuid)).message;
seen.missing = await caught(ai.chat.get(agentUuid));
seen.refused = await caught(ai.chat.create({ trigger: { type: "letter" } }));
seen.stranger = await caught(buildApi({ baseUrl, accessToken: "wrong" }).ai.chat.list({}));
console.log(JSON.stringify(seen));
