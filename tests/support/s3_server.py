"""A real S3 server (moto) on a free port of 127.0.0.1, which can be told to misbehave."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from greenray.storage.s3_bucket import S3Bucket
from greenray.storage.s3_location import S3Location, S3Options

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""An environment in which S3 can be used, and no machine's role is looked for."""

_ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>told to fail</Message></Error>'

StartResponse = Callable[..., Any]
Fault = Callable[[dict[str, Any], StartResponse, Callable[..., Iterable[bytes]]], Iterable[bytes]]


class S3Server:
    """``requests``: (method, path) of everything that was asked, in order.

    Servers of one process share their memory, so that each has a bucket of another name.
    """

    def __init__(self) -> None:
        self.bucket_name = f"pieces-{uuid.uuid4().hex}"
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True)
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_port}"
        self.requests: list[tuple[str, str]] = []
        self._faults: list[tuple[str, Fault]] = []

    def run(self) -> None:
        self._server.serve_forever()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def location(self, prefix: str, **options: Any) -> S3Location:
        return S3Location(
            self.bucket_name, prefix, S3Options(endpoint_url=self.endpoint_url, **options)
        )

    def bucket(self, prefix: str, **options: Any) -> S3Bucket:
        return S3Bucket(self.location(prefix, **options))

    def refuse_next(self, method: str, status: str, code: str, times: int = 1) -> None:
        """The next requests of this method are answered with an error of S3."""

        def refuse(
            environ: dict[str, Any], start: StartResponse, app: Callable[..., Iterable[bytes]]
        ) -> Iterable[bytes]:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(status, [("Content-Type", "application/xml")])
            return [_ERROR.format(code=code).encode()]

        self._faults += [(method, refuse)] * times

    def be_silent_next(self, method: str, pause_s: float, times: int = 1) -> None:
        """The next requests of this method are answered late."""

        def be_silent(
            environ: dict[str, Any], start: StartResponse, app: Callable[..., Iterable[bytes]]
        ) -> Iterable[bytes]:
            time.sleep(pause_s)
            return app(environ, start)

        self._faults += [(method, be_silent)] * times

    def break_off_next(self, method: str) -> None:
        """The next answer to this method ends in the middle of its bytes."""

        def break_off(
            environ: dict[str, Any], start: StartResponse, app: Callable[..., Iterable[bytes]]
        ) -> Iterable[bytes]:
            body = b"".join(app(environ, start))
            return [body[: len(body) // 2]]

        self._faults.append((method, break_off))

    def _serve(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        self.requests.append((method, environ["PATH_INFO"]))
        fault = next((entry for entry in self._faults if entry[0] == method), None)
        if fault is None:
            answer: Iterable[bytes] = self._app(environ, start)
            return answer
        self._faults.remove(fault)
        return fault[1](environ, start, self._app)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """With an empty bucket, and credentials in this process's environment."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = S3Server()
    thread = threading.Thread(target=server.run, name="s3-server", daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        try:
            make_bucket(server)
            yield server
        finally:
            server.stop()
            thread.join()


def make_bucket(server: S3Server) -> None:
    import boto3

    boto3.client("s3", endpoint_url=server.endpoint_url).create_bucket(
        Bucket=server.bucket_name,
        CreateBucketConfiguration={"LocationConstraint": CREDENTIALS["AWS_DEFAULT_REGION"]},
    )
