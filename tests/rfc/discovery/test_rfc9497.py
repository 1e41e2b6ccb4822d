"""RFC 9497 Appendix A.1.2, VOPRF(ristretto255, SHA-512): keys, elements and outputs.

The blind of a vector cannot be set through the package, so the proof is checked by finalizing.
"""

from __future__ import annotations

import pytest

from discovery.privacy.voprf import ELEMENT_OCTETS, Blinding, Evaluator

pytestmark = pytest.mark.rfc(9497, "A.1.2")

EVALUATOR = Evaluator(b"\xa3" * 32, b"test key")
PUBLIC_KEY = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e"


def test_the_key_is_derived_as_in_the_appendix() -> None:
    assert EVALUATOR.public_key.hex() == PUBLIC_KEY


def test_the_second_element_of_the_batch_is_evaluated_as_in_the_appendix() -> None:
    """Vector 3 has a proof for two at once; ours are proven one by one."""
    blinded = "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654"
    evaluated = "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a"
    evaluation = EVALUATOR.blind_evaluate(bytes.fromhex(blinded))
    assert evaluation[-ELEMENT_OCTETS:].hex() == evaluated


@pytest.mark.parametrize(
    ("value", "blinded", "evaluated", "output"),
    [
        (
            b"\x00",
            "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
            "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
            "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7d"
            "a4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c",
        ),
        (
            b"\x5a" * 17,
            "cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c",
            "60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468",
            "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60"
            "356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6",
        ),
    ],
)
def test_evaluations_and_outputs_are_those_of_the_appendix(
    value: bytes, blinded: str, evaluated: str, output: str
) -> None:
    evaluation = EVALUATOR.blind_evaluate(bytes.fromhex(blinded))
    assert evaluation[-ELEMENT_OCTETS:].hex() == evaluated
    assert EVALUATOR.evaluate(value).hex() == output
    blinding = Blinding(value)
    answer = EVALUATOR.blind_evaluate(blinding.element)
    assert blinding.finalize(answer, EVALUATOR.public_key).hex() == output
