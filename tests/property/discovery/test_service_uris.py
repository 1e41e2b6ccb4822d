"""What discovery takes for a URI, the SIP side can route by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from discovery.service_uri import MalformedServiceUri, parse_service_uri
from sip.uri import SipUri, parse_uri


@given(
    user=st.text("+19aZ._~*!-", min_size=1, max_size=8),
    port=st.sampled_from(["", ":1", ":05061", ":65535"]),
    parameters=st.lists(
        st.tuples(
            st.sampled_from(["a", "A", "lr", "ob", "transport", "user", "ttl", "method", "x.-_"]),
            st.sampled_from(["", "=x", "=~", "=.1", "=phone", "=tls", "=9"]),
        ),
        max_size=4,
    ),
)
def test_what_is_taken_can_be_routed_by(
    user: str, port: str, parameters: list[tuple[str, str]]
) -> None:
    """What a peer answers is kept for a day: it must not make every call to the number fail."""
    text = f"sip:{user}@beta.example{port}" + "".join(f";{a}{b}" for a, b in parameters)
    try:
        parse_service_uri(text)
    except MalformedServiceUri:
        return
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    assert uri.host == "beta.example"
