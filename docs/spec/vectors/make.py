#!/usr/bin/env python3
"""Writes vault.json: a header and rows of one vault with every input fixed.

An implementation of docs/spec that shares no code with the crate: hashes from the standard library,
AES-GCM, AES and Argon2id from the PyPI package `cryptography` (44 or later). The crate's tests read
what it wrote. Run it again after a change of the specification; its output does not change by itself.
"""

import hashlib
import hmac
import json
import pathlib
import struct
import unicodedata

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

CLASSES = {"emergency": 1, "standard": 2, "priority": 3}


def fixed(name, length):
    """Bytes that look random and are the same every time."""
    return hashlib.shake_128(b"vitalock test vector: " + name.encode()).digest(length)


def lp(data):
    return struct.pack("<I", len(data)) + data


def hkdf(salt, ikm, info, length):
    prk = hmac.digest(salt, ikm, "sha256")
    out, block, count = b"", b"", 0
    while len(out) < length:
        count += 1
        block = hmac.digest(prk, block + info + bytes([count]), "sha256")
        out += block
    return out[:length]


def xaes_seal(key, nonce, plain, associated):
    """C2SP XAES-256-GCM."""

    def aes(block):
        encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        return encryptor.update(block) + encryptor.finalize()

    left = int.from_bytes(aes(bytes(16)), "big")
    subkey = (left << 1) & ((1 << 128) - 1)
    if left >> 127:
        subkey ^= 0x87
    subkey = subkey.to_bytes(16, "big")

    def half(counter):
        message = b"\0" + bytes([counter]) + b"X\0" + nonce[:12]
        return aes(bytes(a ^ b for a, b in zip(message, subkey)))

    return AESGCM(half(1) + half(2)).encrypt(nonce[12:], plain, associated)


def seal(key, name, plain, associated):
    nonce = fixed("nonce " + name, 24)
    return b"\x01" + nonce + xaes_seal(key, nonce, plain, associated)


vault = fixed("vault", 16)
class_keys = {name: fixed("class key " + name, 32) for name in CLASSES}


def derived(name, label):
    info = lp(b"vitalock/1/" + label.encode()) + bytes([CLASSES[name]])
    return hkdf(vault, class_keys[name], info, 32)


def token(name, space, text):
    message = bytes([space]) + lp(text.encode())
    return hmac.digest(derived(name, "blind"), message, "sha256")[:16]


def place(name, table, kind="", row=bytes(16), number=0, key_id=bytes(16)):
    return (
        lp(b"vitalock/1/row") + b"\x01" + vault + bytes([CLASSES[name], table])
        + lp(kind.encode()) + row + struct.pack("<Q", number) + key_id
    )


ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def code_text(bits, use):
    check = hashlib.sha256(b"vitalock/1/code/" + use.encode() + bits).digest()
    value = int.from_bytes(bits, "big") << 12 | int.from_bytes(check[:2], "big") >> 4
    symbols = [ALPHABET[value >> (5 * (27 - at)) & 31] for at in range(28)]
    return "-".join("".join(symbols[at : at + 4]) for at in range(0, 28, 4))


def code_key(bits, use):
    return hkdf(vault, bits, lp(b"vitalock/1/code") + bytes([use]), 32)


passphrase = "vier stille Reiher wa\u0308ten"
recovery_bits, emergency_bits = fixed("recovery code", 16), fixed("emergency code", 16)
shares = []


def wrap(slot_line, purpose, classes, kdf, share, code):
    name = slot_line + " " + purpose
    argon, stretched = "none", b""
    if kdf:
        salt16 = fixed("argon salt " + name, 16)
        argon = "argon2id:19456:2:1:" + salt16.hex()
        words = unicodedata.normalize("NFC", passphrase).encode()
        stretched = Argon2id(
            salt=salt16, length=32, iterations=2, lanes=1, memory_cost=19456
        ).derive(words)
    shared, released = "none", b""
    if share:
        challenge, blob = fixed("challenge " + name, 32), b"key of " + name.encode()
        released = fixed("share " + name, 32)
        shares.append({"blob": blob.hex(), "challenge": challenge.hex(), "share": released.hex()})
        shared = f"{share}:{challenge.hex()}:{blob.hex()}"
    salt = fixed("salt " + name, 32)
    line = f"wrap {purpose} kdf={argon} share={shared} salt={salt.hex()}"
    binding = f"vault {vault.hex()}\n{slot_line}\n{line}".encode()
    ikm = lp(stretched) + lp(released) + lp(code)
    okm = hkdf(salt, ikm, lp(b"vitalock/1/slot") + lp(binding), 64)
    sealed = seal(okm[:32], name, b"".join(class_keys[c] for c in classes), binding)
    return f"{line} commit={okm[32:].hex()} key={sealed.hex()}\n"


def slot(kind, purposes, kdf=False, share=None, code=b"", escrow=False):
    line = f"slot {fixed('slot ' + kind, 8).hex()} {kind}"
    text = line + "\n"
    if escrow:
        associated = f"vault {vault.hex()}\n{line}".encode()
        text += "escrow " + seal(derived("priority", "escrow"), "escrow", code, associated).hex() + "\n"
    for purpose in purposes:
        classes = {"standard": ["standard", "emergency"]}.get(purpose, [purpose])
        text += wrap(line, purpose, classes, kdf, share, code)
    return text


both = ["standard", "priority"]
recovery, emergency = code_key(recovery_bits, 2), code_key(emergency_bits, 1)
header = f"vitalock 1\nsuite 1\nvault {vault.hex()}\ngeneration 7\n"
header += slot("primary", both, kdf=True, share="vector-store")
header += slot("biometric", ["standard"], share="vector-store")
header += slot("recovery-share", both, share="vector-store", code=recovery)
header += slot("recovery-passphrase", both, kdf=True, code=recovery, escrow=True)
header += slot("emergency", ["emergency"], code=emergency)
header += f"retired vector-store priority {b'an old key'.hex()}\n"
for name in ["priority", "standard", "emergency"]:
    mac = hmac.digest(derived(name, "header-mac"), header.encode(), "sha256")
    header += f"mac {name} {mac.hex()}\n"

subject_key, key_id = fixed("subject key", 32), fixed("subject key id", 16)
record_id = fixed("record", 16)
client, subject, kind = "Observation/hr-1", "Patient/Zoë", "Observation"
content = (
    bytes([1, 1 | 2 | 4 | 8 | 16])
    + struct.pack("<qq", 1_700_000_000_000_001, 1_700_000_000_000_002)
    + struct.pack("<qq", -5, 1_600_000_000_000_000)
    + struct.pack("<q", 1_900_000_000_000_000)
    + struct.pack("<Q", 9) + lp(client.encode())
    + lp(b"a watch") + lp(b"an app") + lp(b"application/fhir+json")
    + b'{"value": 1.00}'
)
wrap_key = derived("standard", "subject-wrap")
rows = {
    "record": seal(subject_key, "record", content, place("standard", 1, kind, record_id, 3, key_id)),
    "earlier": seal(subject_key, "earlier", content, place("standard", 2, kind, record_id, 2, key_id)),
    "subject_key": seal(wrap_key, "subject key", subject_key, place("standard", 3, number=5, key_id=key_id)),
    "subject_name": seal(
        subject_key, "subject name", b"\x01" + subject.encode(), place("standard", 4, number=5, key_id=key_id)
    ),
    "term": seal(derived("standard", "terms"), "term", b"\x01" + kind.encode(), place("standard", 5, number=4)),
    "settings": seal(derived("standard", "settings"), "settings", b"\x01\x02\x01", place("standard", 6, number=1)),
    "intent": seal(
        derived("standard", "intents"), "intent", b"\x01\x02" + record_id, place("standard", 7, row=record_id)
    ),
}
vector = {
    "passphrase": passphrase,
    "shares": shares,
    "recovery_code": code_text(recovery_bits, "recovery"),
    "emergency_code": code_text(emergency_bits, "emergency"),
    "class_keys": {name: key.hex() for name, key in class_keys.items()},
    "header": header,
    "tokens": {
        "kind": token("standard", 1, kind).hex(),
        "content_type": token("standard", 2, "application/fhir+json").hex(),
        "subject": token("standard", 3, subject).hex(),
        "client": token("standard", 4, client).hex(),
        "no_subject": token("standard", 5, "").hex(),
    },
    "record_id": record_id.hex(),
    "subject_key": subject_key.hex(),
    "subject_key_id": key_id.hex(),
    "rows": {name: row.hex() for name, row in rows.items()},
}
path = pathlib.Path(__file__).with_name("vault.json")
path.write_text(json.dumps(vector, indent=1, ensure_ascii=True) + "\n")
