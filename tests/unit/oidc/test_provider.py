from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trustme
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from trio.testing import MockClock

from acme_manager.config.ui import OidcConfig
from acme_manager.domain.oidc import Identity
from acme_manager.errors import LoginFailed, ProviderUnavailable
from acme_manager.oidc.attempt import Attempt, new_attempt
from acme_manager.oidc.provider import OpenIdProvider, OpenIdProviders
from acme_manager.oidc.transport import tls_context
from tests.fakes.oidc import CLIENT_ID, CLIENT_SECRET, ISSUER, NOW, REDIRECT_URI, FakeProvider, FixedClock

CONFIG = OidcConfig(issuer_url=ISSUER, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
P256 = ECKey.generate_key("P-256", {"kid": "first"})


@attrs.define
class Bench:
    """Our side before a fake provider."""

    fake: FakeProvider = attrs.field(factory=lambda: FakeProvider(key=P256))
    config: OidcConfig = CONFIG
    attempt: Attempt = attrs.field(factory=new_attempt)
    provider: OpenIdProvider = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.provider = OpenIdProvider(self.config, {}, FixedClock(), self.fake)

    async def link(self) -> str:
        one = self.attempt
        return await self.provider.authorization_url(one.state, one.nonce, one.challenge, REDIRECT_URI)

    async def log_in(self, *, verifier: str = "") -> Identity:
        code = self.fake.authorize(await self.link())
        one = self.attempt
        return await self.provider.exchange(code, verifier or one.verifier, REDIRECT_URI, one.nonce)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- what is right ----------------------------------------------------------------------------------------------


async def test_somebody_who_logs_in_is_known_by_name_and_groups(bench: Bench) -> None:
    identity = await bench.log_in()
    assert identity == Identity(
        subject="alice-1",
        username="alice",
        email="alice@example.com",
        groups=("web-team", "admins"),
        expires=NOW.replace(minute=5),
    )
    assert bench.fake.asked("userinfo") == []


async def test_the_link_says_what_we_want_and_keeps_what_the_provider_has_in_it(bench: Bench) -> None:
    url = httpx.URL(await bench.link())
    assert dict(url.params) == {
        "tenant": "1",
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT_URI,
        "scope": "openid profile email groups",
        "state": bench.attempt.state,
        "nonce": bench.attempt.nonce,
        "code_challenge": bench.attempt.challenge,
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize(
    ("configured", "offered", "asked"),
    [
        (CONFIG.scopes, ["openid", "profile", "email"], "openid profile email"),  # some refuse a scope that they lack
        (CONFIG.scopes, ["profile"], "openid profile"),
        (("openid", "roles"), ["openid"], "openid roles"),  # not all that there is must be advertised
    ],
)
async def test_scopes_that_nobody_has_configured_are_asked_for_where_they_exist(
    configured: tuple[str, ...], offered: list[str], asked: str
) -> None:
    fake = FakeProvider(metadata={"scopes_supported": offered})
    url = await Bench(fake, attrs.evolve(CONFIG, scopes=configured)).link()
    assert httpx.URL(url).params["scope"] == asked


@pytest.mark.parametrize(
    ("secret", "metadata"),
    [
        (CLIENT_SECRET, {}),
        (CLIENT_SECRET, {"token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"]}),
        (CLIENT_SECRET, {"token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"]}),
        ("", {"token_endpoint_auth_methods_supported": ["none"]}),
    ],
)
async def test_we_authenticate_as_the_provider_supports_it(secret: str, metadata: dict[str, Any]) -> None:
    fake = FakeProvider(metadata=metadata, public=not secret)
    assert (await Bench(fake, attrs.evolve(CONFIG, client_secret=secret)).log_in()).username == "alice"


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("RS256", RSAKey.generate_key(2048, {"kid": "first"})),
        ("PS256", RSAKey.generate_key(2048, {"kid": "first", "alg": "PS256"})),
        ("EdDSA", OKPKey.generate_key("Ed25519", {"kid": "first", "alg": "EdDSA"})),
    ],
)
async def test_the_usual_signatures_are_read(alg: str, key: RSAKey | OKPKey) -> None:
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):  # the fake's own use of EdDSA
        assert (await Bench(FakeProvider(key=key, alg=alg)).log_in()).username == "alice"


async def test_groups_that_the_id_token_lacks_are_asked_for(bench: Bench) -> None:
    bench.fake.claims = {"groups": None}
    assert (await bench.log_in()).groups == ("from-userinfo",)


async def test_a_provider_that_tells_no_groups_at_all_is_no_failure(bench: Bench) -> None:
    bench.fake.claims, bench.fake.metadata = {"groups": None}, {"userinfo_endpoint": None}
    assert (await bench.log_in()).groups == ()


async def test_one_group_may_be_a_text(bench: Bench) -> None:
    bench.fake.claims = {"groups": "web-team"}
    assert (await bench.log_in()).groups == ("web-team",)


async def test_claims_have_the_names_of_the_configuration() -> None:
    fake = FakeProvider(claims={"upn": "alice@corp", "roles": ["r"]})
    identity = await Bench(fake, attrs.evolve(CONFIG, username_claim="upn", groups_claim="roles")).log_in()
    assert (identity.username, identity.groups) == ("alice@corp", ("r",))


async def test_a_token_for_several_applications_is_good_when_it_was_issued_to_us(bench: Bench) -> None:
    bench.fake.claims = {"aud": ["other", CLIENT_ID], "azp": CLIENT_ID}
    assert (await bench.log_in()).username == "alice"


async def test_clocks_may_differ_by_a_minute(bench: Bench) -> None:
    bench.fake.claims = {"exp": NOW.timestamp() - 59, "iat": NOW.timestamp() + 59, "nbf": NOW.timestamp() + 59}
    assert (await bench.log_in()).username == "alice"


async def test_a_header_with_more_in_it_than_we_know_is_read(bench: Bench) -> None:
    bench.fake.header = {"x5c": ["A" * 4000], "nonce": "n", "typ": "JWT"}
    assert (await bench.log_in()).username == "alice"


async def test_logging_out_goes_to_the_provider_where_it_offers_that(bench: Bench) -> None:
    url = await bench.provider.logout_url("https://acme.example/ui/")
    assert url is not None
    assert httpx.URL(url).path == "/realm/logout"
    expected = {"client_id": CLIENT_ID, "post_logout_redirect_uri": "https://acme.example/ui/"}
    assert dict(httpx.URL(url).params) == expected
    assert await Bench(FakeProvider(metadata={"end_session_endpoint": None})).provider.logout_url("x") is None


# --- what is kept ------------------------------------------------------------------------------------------------


async def test_what_the_provider_says_of_itself_is_read_once_an_hour(bench: Bench, mock_clock: MockClock) -> None:
    await bench.log_in()
    await bench.log_in()
    assert len(bench.fake.asked("openid-configuration")) == len(bench.fake.asked("keys")) == 1
    mock_clock.jump(3601)
    await bench.log_in()
    assert len(bench.fake.asked("openid-configuration")) == len(bench.fake.asked("keys")) == 2


async def test_what_it_said_counts_while_it_can_not_be_asked(bench: Bench, mock_clock: MockClock) -> None:
    await bench.link()
    mock_clock.jump(3601)
    bench.fake.answers["openid-configuration"] = httpx.Response(503)
    assert (await bench.log_in()).username == "alice"


async def test_a_key_that_is_new_is_fetched_at_once(bench: Bench) -> None:
    await bench.log_in()
    bench.fake.key = ECKey.generate_key("P-256", {"kid": "second"})
    assert (await bench.log_in()).username == "alice"
    assert len(bench.fake.asked("keys")) == 2


async def test_a_new_key_is_noticed_where_keys_have_no_names(bench: Bench) -> None:
    bench.fake.key = ECKey.generate_key("P-256")
    await bench.log_in()
    bench.fake.key = ECKey.generate_key("P-256")
    assert (await bench.log_in()).username == "alice"


async def test_a_key_that_is_not_published_is_looked_for_once(bench: Bench) -> None:
    bench.fake.published = [ECKey.generate_key("P-256", {"kid": "other"})]
    with pytest.raises(LoginFailed, match="signed with a key that the provider does not publish"):
        await bench.log_in()
    assert len(bench.fake.asked("keys")) == 2


async def test_another_configuration_means_another_provider() -> None:
    providers = OpenIdProviders(FixedClock(), FakeProvider())
    first = providers.of(CONFIG, {})
    assert providers.of(attrs.evolve(CONFIG), {}) is first
    assert providers.of(attrs.evolve(CONFIG, label="new"), {}) is not first
    assert providers.of(CONFIG, {"HTTPS_PROXY": "p"}) is not providers.of(CONFIG, {})


# --- ID tokens that are refused ----------------------------------------------------------------------------------


def _hs256() -> FakeProvider:
    """The old trick: a MAC made with the public key, which everybody has."""
    numbers = P256.as_dict(private=False)
    mac = OctKey.import_key({"kty": "oct", "k": numbers["x"], "kid": "first"})
    return FakeProvider(key=mac, alg="HS256", published=[P256])


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (
            FakeProvider(claims={"iss": f"{ISSUER}/"}),
            "by 'https://login.example/realm/', and not by ui.oidc.issuer_url",
        ),
        (FakeProvider(claims={"iss": None}), "by None"),
        (FakeProvider(claims={"aud": "other"}), "meant for another application"),
        (FakeProvider(claims={"aud": []}), "meant for another application"),
        (FakeProvider(claims={"aud": None}), "meant for another application"),
        (FakeProvider(claims={"aud": ["other", CLIENT_ID]}), "several applications"),
        (FakeProvider(claims={"aud": ["other", CLIENT_ID], "azp": "other"}), "issued to another application"),
        (FakeProvider(claims={"azp": "other"}), "issued to another application"),
        (FakeProvider(claims={"nonce": "another"}), "belongs to another log-in"),
        (FakeProvider(claims={"nonce": None}), "belongs to another log-in"),
        (FakeProvider(claims={"nonce": ["a", "list"]}), "belongs to another log-in"),
        (FakeProvider(claims={"exp": NOW.timestamp() - 61}), "expired 61 s ago: compare the clocks"),
        (FakeProvider(claims={"exp": None}), "no usable time as 'exp'"),
        (FakeProvider(claims={"exp": True}), "no usable time as 'exp'"),
        (FakeProvider(claims={"exp": 1e300}), "no usable time as 'exp'"),
        (FakeProvider(claims={"exp": float("nan")}), "no usable time as 'exp'"),
        (FakeProvider(claims={"iat": NOW.timestamp() + 61}), r"61 s from the future \('iat'\)"),
        (FakeProvider(claims={"iat": None}), "no usable time as 'iat'"),
        (FakeProvider(claims={"nbf": NOW.timestamp() + 61}), r"61 s from the future \('nbf'\)"),
        (FakeProvider(claims={"sub": None}), "does not say who it is about"),
        (FakeProvider(claims={"sub": 5}), "does not say who it is about"),
        (FakeProvider(claims={"preferred_username": None}), "no name as 'preferred_username'"),
        (FakeProvider(claims={"preferred_username": ""}), "no name as 'preferred_username'"),
        (FakeProvider(claims={"groups": {"a": 1}}), "no list of names; ui.oidc.groups_claim must name one"),
        (FakeProvider(claims={"groups": [1]}), "no list of names"),
        (
            FakeProvider(claims={"groups": None, "_claim_names": {"groups": "src1"}}, userinfo={"sub": "alice-1"}),
            "too many",
        ),
        (FakeProvider(claims={"groups": None}, userinfo={"sub": "bob-2"}), "tells more of somebody else"),
        (FakeProvider(claims={"groups": None}, answers={"userinfo": httpx.Response(401)}), "userinfo: status 401"),
        (FakeProvider(claims={"padding": "x" * 140_000}), "is too large"),
        (FakeProvider(key=ECKey.generate_key("P-256", {"kid": "first"}), published=[P256]), "its signature is wrong"),
        (FakeProvider(header={"crit": ["b64"], "b64": False}), "can't be believed"),
        (_hs256(), "not signed with one of ES256, EdDSA, PS256, RS256"),
    ],
    ids=lambda value: re.sub(r"\W+", "-", value)[:40] if isinstance(value, str) else "",
)
async def test_an_id_token_that_can_not_be_believed_is_refused(fake: FakeProvider, message: str) -> None:
    bench = Bench(attrs.evolve(fake))
    with pytest.raises(LoginFailed, match=message) as caught:
        await bench.log_in()
    assert_no_secret(bench, str(caught.value))


async def test_an_unsigned_token_is_refused(bench: Bench) -> None:
    head, payload, _ = bench.fake.id_token(bench.attempt.nonce).split(".")
    none = "eyJhbGciOiJub25lIiwia2lkIjoiZmlyc3QifQ"  # {"alg":"none","kid":"first"}
    for token in (f"{none}.{payload}.", f"{head}.{payload}.", f"{head}.{payload}", "no token", "", "[[[[.[[[[.[[["):
        bench.fake.answers["token"] = httpx.Response(200, json={"id_token": token})
        with pytest.raises(LoginFailed, match=r"not signed with one of|can't be believed"):
            await bench.log_in()


async def test_a_key_that_is_too_short_or_not_for_signatures_counts_for_nothing() -> None:
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):
        short = RSAKey.generate_key(1024, {"kid": "first"})
    long = RSAKey.generate_key(2048, {"kid": "first"})
    for_encryption = RSAKey.import_key(long.as_dict(private=True) | {"use": "enc"})
    for key, published in ((short, short), (long, for_encryption)):
        with pytest.raises(LoginFailed, match="a key that the provider does not publish"):
            await Bench(FakeProvider(key=key, alg="RS256", published=[published])).log_in()


@pytest.mark.parametrize("access_token", [None, 5, "ä", "a\r\nb"])
async def test_an_access_token_that_no_header_can_carry_is_not_used(bench: Bench, access_token: object) -> None:
    bench.fake.claims = {"groups": None}
    body = {"id_token": bench.fake.id_token(bench.attempt.nonce), "access_token": access_token}
    bench.fake.answers["token"] = httpx.Response(200, json=body)
    with pytest.raises(LoginFailed, match="no usable access token"):
        await bench.log_in()


async def test_an_address_that_nobody_has_verified_is_no_name() -> None:
    config = attrs.evolve(CONFIG, username_claim="email")
    with pytest.raises(LoginFailed, match="not verified your e-mail address"):
        await Bench(FakeProvider(claims={"email_verified": False}), config).log_in()
    assert (await Bench(FakeProvider(claims={"email_verified": True}), config).log_in()).username == "alice@example.com"


# --- providers that refuse, and that are not there ---------------------------------------------------------------


async def test_a_code_is_good_for_who_has_asked_for_it_only(bench: Bench) -> None:
    with pytest.raises(
        LoginFailed, match=r"its page was loaded twice; log in again \(invalid_grant: no such"
    ) as caught:
        await bench.log_in(verifier=new_attempt().verifier)
    assert_no_secret(bench, str(caught.value))
    assert "code-0" not in str(caught.value)


async def test_a_wrong_secret_is_told_as_that() -> None:
    bench = Bench(config=attrs.evolve(CONFIG, client_secret="wrong"))
    with pytest.raises(LoginFailed, match=r"does not accept ui\.oidc\.client_id with ui\.oidc\.client_secret"):
        await bench.log_in()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(200, json={"access_token": "access-token"}), "sent no ID token"),
        (httpx.Response(403, text="<html>"), r"refuses the log-in \(status 403\)"),
        (httpx.Response(400, json={"error": {"a": 1}, "error_description": "x\n" * 900}), "refuses the log-in"),
    ],
)
async def test_a_refusal_is_told_in_one_line(bench: Bench, answer: httpx.Response, message: str) -> None:
    bench.fake.answers["token"] = answer
    with pytest.raises(LoginFailed, match=message) as caught:
        await bench.log_in()
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("last", ["openid-configuration", "token", "keys", "userinfo"])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.ConnectError("Connection refused"), "can't be reached: Connection refused"),
        (httpx.ReadTimeout(""), "does not answer within 10 s"),
        (httpx.Response(500), "answers with status 500"),
        (httpx.Response(302, headers={"location": "https://elsewhere.example"}), "answers with status 302"),
        (httpx.Response(200, text="<html>"), "does not answer with a JSON object"),
        (httpx.Response(200, text="[" * 100_000), "does not answer with a JSON object"),
        (httpx.Response(200, json=["a list"]), "does not answer with a JSON object"),
        (httpx.Response(200, text="x" * 300_000), "answers with more than 262144 bytes"),
    ],
)
async def test_a_provider_that_is_not_there_is_named(
    bench: Bench, last: str, answer: httpx.Response | Exception, message: str
) -> None:
    bench.fake.claims = {"groups": None}
    bench.fake.answers[last] = answer
    with pytest.raises(ProviderUnavailable, match=message) as caught:
        await bench.log_in()
    assert "https://login.example/realm/" in str(caught.value)
    assert_no_secret(bench, str(caught.value))


async def test_a_provider_that_is_too_slow_is_not_waited_for(bench: Bench, autojump_clock: MockClock) -> None:
    bench.fake.delay = 3600
    with pytest.raises(ProviderUnavailable, match="does not answer within 10 s"):
        await bench.link()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"issuer": f"{ISSUER}/"},
            "calls itself 'https://login.example/realm/'; ui.oidc.issuer_url must be exactly that",
        ),
        ({"issuer": None}, "calls itself None"),
        ({"token_endpoint": None}, "'token_endpoint' of its discovery document is no https URL"),
        ({"token_endpoint": "http://login.example/token"}, "'token_endpoint'"),
        ({"jwks_uri": "http://127.0.0.1/keys"}, "'jwks_uri'"),
        ({"jwks_uri": "https://user:password@login.example/keys"}, "'jwks_uri'"),
        ({"userinfo_endpoint": ["https://login.example/"]}, "'userinfo_endpoint'"),
        ({"end_session_endpoint": "javascript:alert(1)"}, "'end_session_endpoint'"),
        ({"authorization_endpoint": "https://[broken/"}, "'authorization_endpoint'"),
        ({"code_challenge_methods_supported": ["plain"]}, "offers PKCE, but not with S256"),
        ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "signs ID tokens with HS256, none only"),
    ],
)
async def test_a_provider_that_says_something_unusable_of_itself_is_not_used(
    metadata: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProviderUnavailable, match=re.escape(message)):
        await Bench(FakeProvider(metadata=metadata)).link()


async def test_a_provider_of_another_address_is_told_that_way(bench: Bench) -> None:
    bench.fake.answers["openid-configuration"] = httpx.Response(404, text="not here")
    with pytest.raises(ProviderUnavailable, match=r"with status 404; is ui\.oidc\.issuer_url right\?"):
        await bench.link()


def test_the_roots_to_trust_are_the_system_s_and_those_of_ca_file(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    trustme.CA(organization_name="Login").cert_pem.write_to_path(str(path))
    with_file = tls_context(attrs.evolve(CONFIG, ca_file=path)).get_ca_certs()
    without = tls_context(CONFIG).get_ca_certs()
    assert len(with_file) == len(without) + 1


async def test_a_file_of_roots_that_has_gone_is_named(tmp_path: Path) -> None:
    provider = OpenIdProvider(attrs.evolve(CONFIG, ca_file=tmp_path / "gone.pem"), {}, FixedClock())
    with pytest.raises(ProviderUnavailable, match="No such file"):
        await provider.logout_url("x")


def assert_no_secret(bench: Bench, text: str) -> None:
    one = bench.attempt
    for secret in (one.state, one.nonce, one.verifier, CLIENT_SECRET, "access-token", "eyJ"):
        assert secret not in text
