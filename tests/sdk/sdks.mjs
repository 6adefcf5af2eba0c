// The SDKs of senders, each in the words of its own documents. Reads one job from standard input, writes its result.
//
//   {"sdk", "action": "sign", "secret", "request"}      -> the headers that the SDK adds
//   {"sdk", "action": "verify", "secret", "requests"}   -> for each whether the SDK takes it, or why not
//
// A request has method, url, headers (names in small letters) and body (text).

import { createSecretKey } from "node:crypto";
import https from "node:https";
import { PassThrough } from "node:stream";

const seconds = () => Math.floor(Date.now() / 1000);
const form = (body) => Object.fromEntries(new URLSearchParams(body));
const path = (url) => new URL(url).pathname + new URL(url).search;

const sign = {
  async contentful(secret, { method, url, headers, body }) {
    const { signRequest } = await import("@contentful/node-apps-toolkit");
    const made = signRequest(secret, { method, path: path(url), headers, body }, Date.now());
    return { ...headers, ...made };
  },
  async github(secret, { body }) {
    const { sign } = await import("@octokit/webhooks-methods");
    return { "x-hub-signature-256": await sign(secret, body) };
  },
  async notion(verificationToken, { body }) {
    const { signWebhookPayload } = await import("@notionhq/client");
    return { "x-notion-signature": await signWebhookPayload({ body, verificationToken }) };
  },
  async stripe(secret, { body }) {
    const { default: Stripe } = await import("stripe");
    const header = new Stripe("sk_test_any").webhooks.generateTestHeaderString({ payload: body, secret });
    return { "stripe-signature": header };
  },
  async svix(secret, { body }) {
    const { Webhook } = await import("svix");
    const at = new Date();
    const signature = new Webhook(secret).sign("msg_1", at, body);
    return { "svix-id": "msg_1", "svix-timestamp": String(Math.floor(at / 1000)), "svix-signature": signature };
  },
  async twilio(token, { url, body }) {
    const { default: twilio } = await import("twilio");
    return { "x-twilio-signature": twilio.getExpectedTwilioSignature(token, url, form(body)) };
  },
};

const verify = {
  async "aws-sns"(certificate, { body }) {
    const { default: Validator } = await import("sns-validator");
    https.get = (url, answer) => {
      answer(Object.assign(new PassThrough().end(certificate), { statusCode: 200 }));
      return { on: () => {} };
    };
    return new Promise((done) => new Validator().validate(body, (error) => done(!error)));
  },
  async contentful(secret, { method, url, headers, body }) {
    const { verifyRequest } = await import("@contentful/node-apps-toolkit");
    return verifyRequest(secret, { method, path: path(url), headers, body }, 30);
  },
  async crisp(secret, { headers, body }) {
    const { Crisp } = await import("crisp-api");
    const [at, signature] = [headers["x-crisp-request-timestamp"], headers["x-crisp-signature"]];
    return new Crisp().verifyWidget(secret, JSON.parse(body), at, signature); // as verifyHook does once it is bound
  },
  async discord(key, { headers, body }) {
    const { verifyKey } = await import("discord-interactions");
    return verifyKey(body, headers["x-signature-ed25519"], headers["x-signature-timestamp"], key);
  },
  async easypost(secret, { headers, body }) {
    const { default: EasyPost } = await import("@easypost/api");
    return Boolean(new EasyPost("any").Utils.validateWebhook(Buffer.from(body), headers, secret));
  },
  async github(secret, { headers, body }) {
    const { verify } = await import("@octokit/webhooks-methods");
    return verify(secret, body, headers["x-hub-signature-256"]);
  },
  async gocardless(secret, { headers, body }) {
    const { parse } = await import("gocardless-nodejs/webhooks");
    return parse(body, secret, headers["webhook-signature"]).length > 0;
  },
  async line(secret, { headers, body }) {
    const { validateSignature } = await import("@line/bot-sdk");
    return validateSignature(body, secret, headers["x-line-signature"]);
  },
  async linear(secret, { headers, body }) {
    const { LinearWebhookClient } = await import("@linear/sdk/webhooks");
    return new LinearWebhookClient(secret).verify(Buffer.from(body), headers["linear-signature"]);
  },
  async messagebird(secret, { url, headers, body }) {
    const { default: jwt } = await import("messagebird/lib/webhook-signature-jwt.js");
    const key = createSecretKey(Buffer.from(secret));
    await jwt.verify(url, Buffer.from(body), headers["messagebird-signature-jwt"], key);
    return true;
  },
  async mux(secret, { headers, body }) {
    const { default: Mux } = await import("@mux/mux-node");
    const mux = new Mux({ tokenId: "any", tokenSecret: "any" });
    await mux.webhooks.verifySignature(body, headers, secret);
    return true;
  },
  async notion(verificationToken, { headers, body }) {
    const { verifyWebhookSignature } = await import("@notionhq/client");
    return verifyWebhookSignature({ body, signature: headers["x-notion-signature"], verificationToken });
  },
  async paddle(secret, { headers, body }) {
    const { Paddle } = await import("@paddle/paddle-node-sdk");
    return new Paddle("any").webhooks.isSignatureValid(body, secret, headers["paddle-signature"]);
  },
  async sendgrid(key, { headers, body }) {
    const { EventWebhook } = (await import("@sendgrid/eventwebhook")).default;
    const webhook = new EventWebhook();
    const name = "x-twilio-email-event-webhook-";
    const [signature, at] = [headers[`${name}signature`], headers[`${name}timestamp`]];
    return webhook.verifySignature(webhook.convertPublicKeyToECDSA(key), body, signature, at);
  },
  async shopify(secret, { url, headers, body }) {
    await import("@shopify/shopify-api/adapters/node");
    const { shopifyApi, LogSeverity } = await import("@shopify/shopify-api");
    const shopify = shopifyApi({
      apiKey: "any", apiSecretKey: secret, apiVersion: "2025-10", hostName: new URL(url).host, isEmbeddedApp: false,
      logger: { level: LogSeverity.Error },
    });
    const rawRequest = { method: "POST", url: path(url), headers };
    return (await shopify.webhooks.validate({ rawBody: body, rawRequest, rawResponse: {} })).valid;
  },
  async slack(secret, { headers, body }) {
    const { verifyRequestSignature } = (await import("@slack/events-api/dist/http-handler.js")).default;
    return verifyRequestSignature({
      signingSecret: secret, requestSignature: headers["x-slack-signature"],
      requestTimestamp: Number(headers["x-slack-request-timestamp"]), body,
    });
  },
  async stripe(secret, { headers, body }) {
    const { default: Stripe } = await import("stripe");
    return Boolean(new Stripe("sk_test_any").webhooks.constructEvent(body, headers["stripe-signature"], secret));
  },
  async svix(secret, { headers, body }) {
    const { Webhook } = await import("svix");
    return Boolean(new Webhook(secret).verify(body, headers));
  },
  async twilio(token, { url, headers, body }) {
    const { default: twilio } = await import("twilio");
    return twilio.validateRequest(token, headers["x-twilio-signature"], url, form(body));
  },
  async "twilio JSON"(token, { url, headers, body }) {
    const { default: twilio } = await import("twilio");
    return twilio.validateRequestWithBody(token, headers["x-twilio-signature"], url, body);
  },
};

let text = "";
for await (const part of process.stdin) text += part;
const job = JSON.parse(text);
if (job.action === "sign") {
  process.stdout.write(JSON.stringify(await sign[job.sdk](job.secret, job.request)));
} else {
  const taken = [];
  for (const request of job.requests) {
    taken.push(await verify[job.sdk](job.secret, request).catch((error) => error.message));
  }
  process.stdout.write(JSON.stringify(taken));
}
