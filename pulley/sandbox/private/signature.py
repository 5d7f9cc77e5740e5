"""The account's access key, without which nobody can call it, and AWS's Signature Version 4.

Botocore's own signer signs each request again. So what the server accepts is what boto3 and the AWS
command line send: signed headers, or a presigned URL.

Source: AWS Identity and Access Management, User Guide, "AWS Signature Version 4 for API requests".
"""

import hashlib
import hmac
import io
import json
import re
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.auth import UNSIGNED_PAYLOAD, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ID_CHARACTERS = string.ascii_uppercase + "234567"  # what moto takes for an id, too
_STAMP = "%Y%m%dT%H%M%SZ"
_SKEW = timedelta(minutes=15)
_LONGEST = 7 * 24 * 3600  # seconds for which a presigned URL may be valid
_IN_HEADER = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<credential>[^\s,]+),\s*"
    r"SignedHeaders=(?P<headers>[^\s,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_CREDENTIAL = re.compile(
    r"(?P<id>[^/]+)/(?P<day>[0-9]{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request"
)
_SIGNATURE = re.compile("(?:^|&)X-Amz-Signature=[^&]*")
_QUERY_PROTOCOL = frozenset({"autoscaling", "cloudformation", "elasticloadbalancing", "iam", "sts"})


@dataclass(frozen=True)
class AccessKey:
    """A user's key. Only its owner, and the account, know the secret."""

    id: str
    secret: str = field(repr=False)


class RefusedError(Exception):
    """A request whose signature does not count: AWS's error code, and its words."""

    def __init__(self, code: str, words: str) -> None:
        """`words` are for people."""
        super().__init__(words)
        self.code, self.words = code, words


def new_access_key() -> AccessKey:
    """A random key, in AWS's form."""
    characters = (secrets.choice(_ID_CHARACTERS) for _ in range(16))
    return AccessKey(f"AKIA{''.join(characters)}", secrets.token_urlsafe(30))


def only_signed(app: "WSGIApplication", key: AccessKey) -> "WSGIApplication":
    """Answer 403 to each request that is not signed with the key."""

    def serve(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            check_signature(environ, key, now=datetime.now(UTC))
        except RefusedError as error:
            return _answer(environ, error)(environ, start_response)
        return app(environ, start_response)

    return serve


@dataclass(frozen=True)
class _Claim:
    """What a request says of its own signature. `expires` is only in a presigned URL."""

    credential: str
    headers: str
    signature: str
    stamp: str
    expires: str | None = None


def check_signature(environ: "WSGIEnvironment", key: AccessKey, *, now: datetime) -> None:
    """Raise RefusedError unless the request is signed with the key. Its body stays unread."""
    request = Request(environ)
    claim = _claim_of(request)
    credential = _CREDENTIAL.fullmatch(claim.credential)
    if not credential or not hmac.compare_digest(credential["id"].encode(), key.id.encode()):
        # First, so that nobody else can make the sandbox read a large body.
        raise RefusedError(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        )
    _check_time(claim, credential["day"], now)
    body = request.get_data()
    environ["wsgi.input"] = io.BytesIO(body)
    expected = _sign(request, body, claim, credential, key)
    if not hmac.compare_digest(expected, claim.signature):
        raise _mismatch()


def _claim_of(request: Request) -> _Claim:
    header = request.headers.get("Authorization", "")
    in_header = _IN_HEADER.fullmatch(header.strip())
    if in_header:
        return _Claim(**in_header.groupdict(), stamp=request.headers.get("X-Amz-Date", ""))
    given = {name: values[-1] for name, values in parse_qs(_query_of(request)).items()}
    if header or "X-Amz-Signature" not in given:
        raise RefusedError("MissingAuthenticationTokenException", "Missing Authentication Token")
    return _Claim(
        credential=given.get("X-Amz-Credential", ""),
        headers=given.get("X-Amz-SignedHeaders", ""),
        signature=given["X-Amz-Signature"],
        stamp=given.get("X-Amz-Date", ""),
        expires=given.get("X-Amz-Expires", ""),
    )


def _check_time(claim: _Claim, day: str, now: datetime) -> None:
    valid = _SKEW
    if claim.expires is not None:
        is_number = re.fullmatch("[0-9]{1,6}", claim.expires)
        if not is_number or int(claim.expires) > _LONGEST:
            raise _mismatch()
        valid = timedelta(seconds=int(claim.expires))
    try:
        signed = datetime.strptime(claim.stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise _mismatch() from None
    if not claim.stamp.startswith(day) or not signed - _SKEW <= now <= signed + valid:
        raise RefusedError(
            "InvalidSignatureException", f"Signature expired or not yet current: {claim.stamp}"
        )


def _sign(
    request: Request, body: bytes, claim: _Claim, credential: re.Match[str], key: AccessKey
) -> str:
    """The signature that the request should have. Raises RefusedError."""
    is_s3 = credential["service"] == "s3"
    names = claim.headers.split(";")
    if "host" not in names or any(name not in request.headers for name in names):
        raise _mismatch()
    headers = {name: request.headers[name] for name in names}
    # The signer takes this header's word for the body.
    digests = {hashlib.sha256(body).hexdigest(), *([UNSIGNED_PAYLOAD] if is_s3 else [])}
    if headers.get("x-amz-content-sha256") not in {None, *digests}:
        raise _mismatch()
    path, query = request.environ["REQUEST_URI"].partition("?")[0], _query_of(request)
    if claim.expires is not None:
        query = _SIGNATURE.sub("", query).lstrip("&")
    url = f"http://{request.headers['Host']}{path}" + (f"?{query}" if query else "")
    copy = AWSRequest(request.method, url, headers, data=body)
    copy.context["timestamp"] = claim.stamp
    signer = _signer(credential, key, is_presigned=claim.expires is not None)
    to_sign = signer.string_to_sign(copy, signer.canonical_request(copy))
    signature: str = signer.signature(to_sign, copy)
    return signature


def _signer(credential: re.Match[str], key: AccessKey, *, is_presigned: bool) -> SigV4Auth:
    """Botocore's signer for the service. S3 has its own rules for paths and bodies."""
    own = Credentials(key.id, key.secret), credential["service"], credential["region"]
    if credential["service"] != "s3":
        return SigV4Auth(*own)
    return S3SigV4QueryAuth(*own) if is_presigned else S3SigV4Auth(*own)


def _query_of(request: Request) -> str:
    return str(request.environ["REQUEST_URI"]).partition("?")[2]


def _mismatch() -> RefusedError:
    return RefusedError(
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided.",
    )


# What EC2 and the services with the query protocol call the same errors.
_QUERY_CODES = {
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
}


def _answer(environ: "WSGIEnvironment", error: RefusedError) -> Response:
    """The answer, in the form that the called service has for its errors."""
    request = Request(environ)
    given = request.headers.get("Authorization", "") or request.args.get("X-Amz-Credential", "")
    credential = _CREDENTIAL.search(given.partition("Credential=")[2] or given)
    service = credential["service"] if credential else ""
    code = _QUERY_CODES.get(error.code, error.code)
    content = f"<Error><Code>{code}</Code><Message>{escape(error.words)}</Message></Error>"
    if service == "ec2":
        body = f"<Response><Errors>{content}</Errors></Response>"
    elif service == "s3":
        body = content
    elif service in _QUERY_PROTOCOL:
        body = f"<ErrorResponse>{content}</ErrorResponse>"
    else:
        body = json.dumps({"__type": error.code, "message": error.words})
        return Response(
            body,
            403,
            {"x-amzn-ErrorType": error.code},
            content_type="application/x-amz-json-1.1",
        )
    return Response(body, 403, content_type="text/xml")
