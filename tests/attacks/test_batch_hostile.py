"""Forms and lines of whatever bytes: understood or refused, never a failure."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from aboard.serve.batch_lines import LineCheck
from aboard.serve.keeping.blobs import Blobs
from aboard.serve.refusals import Refusal
from aboard.serve.uploads import Form, Upload

FRAGMENTS = (
    b"--B",
    b"--B--",
    b"--",
    b"\r\n",
    b"\n",
    b"\r",
    b": ",
    b";",
    b'"',
    b"\\",
    b"=",
    b"Content-Disposition: form-data; ",
    b'name="file"',
    b'name="purpose"',
    b'filename="f"',
    b"filename*=utf-8''%ff",
    b"name=",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Type: \xff\x00\r\n",
    b"\x00\xff",
    b"text",
)
LINES = (
    b'{"custom_id":"a","method":"POST","url":"/u","body":{"model":"m"}}',
    b'{"custom_id":"\\ud800","method":"POST","url":"/u","body":{"model":"m"}}',
    b'{"custom_id":1,"method":"POST","url":"/u","body":{"model":["m"]}}',
    b'{"custom_id":"b","method":"POST","url":"/u","body":{"model":"m","x":1e999}}',
    b"[" * 500,
    b'{"a":' * 300,
    b"\xef\xbb\xbf{}",
    b"NaN",
    b"null",
    b"",
    b"\r",
    b"\x00",
    b"\xff\xfe",
)
pieces = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=8), max_size=40)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(pieces, st.integers(1, 30))
def test_a_form_of_whatever_bytes_is_refused_or_whole(parts: list[bytes], n: int) -> None:
    data = b"".join(parts)
    with TemporaryDirectory() as folder, Blobs(Path(folder)).incoming() as incoming:
        upload = Upload(incoming)
        form = Form(b"B", upload, most_bytes=50)
        status = 200
        try:
            for i in range(0, len(data), n):
                form.take(data[i : i + n])
            incoming.write(bytes(form.unwritten))
            form.finish()
        except Refusal as refusal:
            status = refusal.status

        assert status in (200, 400, 413)
        if status == 200:
            assert data.count(b"--B") >= 2
            assert upload.filename
            assert 0 < incoming.size_bytes <= 50


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(LINES) | st.binary(max_size=12), max_size=8))
def test_lines_of_whatever_bytes_are_sound_or_told(lines: list[bytes]) -> None:
    check = LineCheck("/u", max_lines=5, max_bytes=1000, model=lambda name: name)
    with TemporaryDirectory() as folder:
        blobs = Blobs(Path(folder))
        with blobs.incoming() as incoming:
            incoming.write(b"\n".join(lines))
            name = incoming.finish()
            blobs.keep(incoming, name)
        found = check.check(blobs, name, lambda: False)

    assert found is not None
    assert json.loads(json.dumps(found.errors)) == found.errors
    assert found.errors or (1 <= found.total <= 2 and found.model == "m")
