"""Renders chats and messages in the format of Cargo's responses."""

import json
from typing import Any

from aiohttp import web

from relay.sandbox.store import USER, WORKSPACE, StoredChat, StoredMessage
from relay.units import iso


def answer(body: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON response."""
    return web.Response(body=body.encode(), status=status, headers=headers, content_type="application/json")


def refuse(status: int, message: str, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error response in Cargo's format."""
    return answer(json.dumps({"errorMessage": message, "reason": reason}), status, headers)


def show_chat(chat: StoredChat, now: int, uuid: str | None = None) -> str:
    """Cargo's `Chat` as JSON text; `uuid` replaces its uuid. It is an f-string because benchmarks time creations."""
    created = iso(chat.created_at)
    last = chat.messages[-1] if chat.messages else None
    return (
        f'{{"uuid": "{uuid or chat.uuid}", "slug": "{chat.uuid[:8]}", "traceUuid": "{chat.trace_uuid}",'
        f' "workspaceUuid": "{WORKSPACE}", "userUuid": "{USER}", "agentUuid": {_text(chat.agent_uuid)},'
        f' "releaseUuid": {_text(chat.release_uuid)}, "name": {_text(chat.name)}, "trigger": {chat.trigger},'
        ' "heartbeat": null, "evaluator": null, "activeStreamUuid": null,'
        f' "creditsUsedCount": {sum(_credits(message, now) for message in chat.messages)},'
        f' "createdAt": "{created}", "updatedAt": "{iso(last.created_at) if last else created}", "deletedAt": null,'
        f' "lastMessage": {json.dumps(_outline(last, now)) if last else "null"}}}'
    )


def _text(value: str | None) -> str:
    return "null" if value is None else json.dumps(value)


def show_made(chat: StoredChat, now: int) -> str:
    """A chat of `GET /_chats`, as JSON text."""
    fields = {"uuid": chat.uuid, "name": chat.name, "createdAt": iso(chat.created_at), "dispatch": chat.dispatch}
    messages = json.dumps([show_message(message, now) for message in chat.messages])
    return f'{json.dumps(fields)[:-1]}, "trigger": {chat.trigger}, "messages": {messages}}}'


def show_message(message: StoredMessage, now: int) -> dict[str, Any]:
    """Cargo's `Message`."""
    done = message.type == "assistant" and message.status(now) == "success"
    return {
        **_outline(message, now),
        "parts": message.parts if message.type == "user" or done else [],
        "actions": [],
        "resources": [],
        "capabilities": [],
        "mcpClients": [],
        "systemPrompt": None,
        "withReasoning": None,
        "temperature": None,
        "maxSteps": None,
        "integrationSlug": None,
        "connectorUuid": None,
        "languageModelSlug": None,
        "evaluatedTools": {},
        "usage": {"creditsUsedCount": _credits(message, now)} if done else None,
        "output": None,
        "evaluation": None,
        "meta": None,
        "suggestedActions": [],
        "temporalWorkflowId": None,
    }


def _outline(message: StoredMessage, now: int) -> dict[str, Any]:
    """Cargo's `lastMessage`: a message without its content."""
    status = message.status(now)
    return {
        "uuid": message.uuid,
        "workspaceUuid": WORKSPACE,
        "agentUuid": message.agent_uuid,
        "releaseUuid": message.release_uuid,
        "chatUuid": message.chat_uuid,
        "userUuid": USER if message.type == "user" else None,
        "status": status,
        "errorMessage": None,
        "type": message.type,
        "createdAt": iso(message.created_at),
        "updatedAt": iso(min(now, message.finishes_at)),
        "finishedAt": iso(message.finishes_at) if message.is_finished(now) else None,
        "deletedAt": None,
    }


def _credits(message: StoredMessage, now: int) -> int:
    return int(message.type == "assistant" and message.status(now) == "success")
