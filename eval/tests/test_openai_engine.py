"""What the engine `openai` asks of a server: one on loopback that answers every request and remembers it."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from aer_eval.engines import openai
from aer_eval.engines.openai import OpenAIEngine, OpenAISettings
from aer_eval.errors import UserError
from aer_eval.records import Prompt
from aer_eval.sampling.units import SamplingParams, Unit

TEXT = Prompt(text="1 + 1 =")
CHAT = Prompt(messages=({"role": "user", "content": "1 + 1"},))


@contextmanager
def server(owner: str) -> Iterator[tuple[str, list[dict]]]:
    """Base URL of a server whose model is ``owner``'s, and the bodies of the requests that it got."""
    bodies: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer({"data": [{"id": "tiny", "object": "model", "created": 0, "owned_by": owner, "root": "r"}]})

        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            said = {"message": {"role": "assistant", "content": "2"}} if "chat" in self.path else {"text": "2"}
            choice = {"index": 0, "finish_reason": "stop", "logprobs": None, **said}
            self.answer({"id": "x", "object": "x", "created": 0, "model": "tiny", "choices": [choice]})

        def answer(self, contents: dict) -> None:
            text = json.dumps(contents).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Nothing on the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/v1", bodies
        httpd.shutdown()


def asked(owner: str, prompt: Prompt, **params: float) -> dict:
    """The body of the one request for one sample."""
    with server(owner) as (url, bodies):
        engine = OpenAIEngine(OpenAISettings(base_urls=(url,)))
        assert engine.identity.details == {"id": "tiny", "root": "r"}
        [[sample]] = engine.sample([Unit("p", prompt, 0, 1, first_seed=7)], SamplingParams(**params))
        engine.close()
    assert (sample.text, sample.seed) == ("2", 7)
    [body] = bodies
    return body


@pytest.mark.parametrize("prompt", [TEXT, CHAT])
def test_a_vllm_server_is_told_what_is_off_so_that_the_models_generation_config_does_not_count(prompt):
    body = asked("vllm", prompt)
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (0, 0, 1)
    assert (body["temperature"], body["top_p"], body["seed"], body["n"]) == (1, 1, 7, 1)
    body = asked("vllm", prompt, top_k=20, min_p=0.1)
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (20, 0.1, 1)


@pytest.mark.parametrize("prompt", [TEXT, CHAT])
def test_another_server_is_asked_only_for_what_is_set(prompt):
    assert not {"top_k", "min_p", "repetition_penalty"} & asked("somebody", prompt).keys()
    body = asked("somebody", prompt, top_k=20)
    assert body["top_k"] == 20 and not {"min_p", "repetition_penalty"} & body.keys()


@pytest.mark.parametrize("prompt", [TEXT, CHAT])
def test_a_vllm_server_shows_special_tokens_where_one_may_be_the_stop(prompt):
    assert asked("vllm", prompt, stop=("<|im_end|>",))["skip_special_tokens"] is False
    assert "skip_special_tokens" not in asked("vllm", prompt)
    assert "skip_special_tokens" not in asked("somebody", prompt, stop=("<|im_end|>",))


def engine_that(monkeypatch, *outcomes) -> OpenAIEngine:
    """An engine, started long ago, whose requests end so one after the other, and whose pauses are short."""
    engine = OpenAIEngine(OpenAISettings(("http://127.0.0.1:9/v1",), give_up_s=0.05))
    remaining, sleep = list(outcomes), asyncio.sleep

    async def ask(*request):
        outcome = remaining.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(engine, "_ask", ask)
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(0.06))
    monkeypatch.setattr(openai, "_completions", lambda unit, answer, params, seconds: [answer])
    time.sleep(0.1)
    return engine


def refused() -> Exception:
    from openai import APIConnectionError

    return APIConnectionError(request=httpx.Request("POST", "http://127.0.0.1:9"))


def test_one_failure_in_the_middle_of_long_responses_is_asked_again(monkeypatch):
    engine = engine_that(monkeypatch, refused(), "first", refused(), "second")
    unit, params = Unit("p", TEXT, 0, 1, first_seed=7), SamplingParams()
    assert asyncio.run(engine._until_answered(unit, params)) == ["first"]
    assert asyncio.run(engine._until_answered(unit, params)) == ["second"]


def test_servers_that_stay_silent_end_the_run(monkeypatch):
    engine = engine_that(monkeypatch, refused(), refused())
    with pytest.raises(UserError, match="no server has answered for 0 s"):
        asyncio.run(engine._until_answered(Unit("p", TEXT, 0, 1, first_seed=7), SamplingParams()))
