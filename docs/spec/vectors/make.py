#!/usr/bin/env python3
"""Writes vault.json, a header and rows of one vault with every input fixed, audit.json, a trail of two
entries, evidence.json, what an auditor gets, inbox.json, a deposit and a file of events, contact.json, a
request to a contact and its answer, and pages.json, a small sealed database with a commit in its log.

An implementation of docs/spec that shares no code with the crate: hashes from the standard library,
AES-GCM, AES, X25519 and Argon2id from the PyPI package `cryptography` (44 or later). The crate's tests read
what it wrote. Run it again after a change of the specification; its output does not change by itself, which
`make test` checks by `make.py DIRECTORY`, where it writes there instead.
The plain images of pages.json are made by hand, and shown to the `sqlite3` of the standard library.
"""

import hashlib
import hmac
import json
import pathlib
import sqlite3
import struct
import sys
import tempfile
import unicodedata

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
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


def slot(kind, purposes, kdf=False, share=None, code=b"", escrow=False, contact=None):
    line = f"slot {fixed('slot ' + kind, 8).hex()} {kind}"
    text = line + "\n"
    if escrow:
        associated = f"vault {vault.hex()}\n{line}".encode()
        text += "escrow " + seal(derived("priority", "escrow"), "escrow", code, associated).hex() + "\n"
    if contact:
        text += f"contact {contact[0].hex()} {contact[1].hex()}\n"
    for purpose in purposes:
        classes = {"standard": ["standard", "emergency"]}.get(purpose, [purpose])
        text += wrap(line, purpose, classes, kdf, share, code)
    return text


# HPKE (RFC 9180) with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM.

KEM, HPKE = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"


def labeled_extract(suite, salt, label, ikm):
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def labeled_expand(suite, prk, label, info, length):
    info = struct.pack(">H", length) + b"HPKE-v1" + suite + label + info
    out, block, count = b"", b"", 0
    while len(out) < length:
        count += 1
        block = hmac.digest(prk, block + info + bytes([count]), "sha256")
        out += block
    return out[:length]


def key_pair(ikm):
    private = labeled_expand(KEM, labeled_extract(KEM, b"", b"dkp_prk", ikm), b"sk", b"", 32)
    private = X25519PrivateKey.from_private_bytes(private)
    return private, private.public_key().public_bytes_raw()


def mail(name, to, key_class, psk, plain, associated):
    ephemeral, enc = key_pair(fixed("ephemeral key " + name, 32))
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(to))
    shared = labeled_extract(KEM, b"", b"eae_prk", shared)
    shared = labeled_expand(KEM, shared, b"shared_secret", enc + to, 32)
    info = lp(b"vitalock/1/mail") + vault + bytes([CLASSES[key_class]])
    mode, psk_id = (b"\x01", b"vitalock/1/deposit") if psk else (b"\x00", b"")
    schedule = mode + labeled_extract(HPKE, b"", b"psk_id_hash", psk_id)
    schedule += labeled_extract(HPKE, b"", b"info_hash", info)
    secret = labeled_extract(HPKE, shared, b"secret", psk)
    key = labeled_expand(HPKE, secret, b"key", schedule, 32)
    nonce = labeled_expand(HPKE, secret, b"base_nonce", schedule, 12)
    return b"\x01" + enc + AESGCM(key).encrypt(nonce, plain, associated)


inbox = {name: key_pair(derived(name, "inbox"))[1] for name in ["standard", "priority"]}
both = ["standard", "priority"]
recovery, emergency = code_key(recovery_bits, 2), code_key(emergency_bits, 1)
header = f"vitalock 1\nsuite 1\nvault {vault.hex()}\ngeneration 7\n"
header += "session idle=240 absolute=28800 background=15\nlease seconds=90 reads=50\nanchor kept\n"
header += f"inbox standard={inbox['standard'].hex()} priority={inbox['priority'].hex()}\n"
header += "attempts tenth=wipe\nfootprint cache=86400\n"
header += slot("primary", both, kdf=True, share="vector-store")
header += slot("biometric", ["standard"], share="vector-store")
header += slot("recovery-share", both, share="vector-store", code=recovery)
header += slot("recovery-passphrase", both, kdf=True, code=recovery, escrow=True)
header += slot("emergency", ["emergency"], code=emergency)
contact_key, contact_secret = fixed("contact key", 32), fixed("secret of a contact's slot", 32)
contact_public = key_pair(contact_key)[1]
contact_slot = fixed("slot emergency-contact", 8)
contact_place = {
    table: place("emergency", table, number=int.from_bytes(contact_slot, "little")) for table in [12, 13]
}
capsule = mail("capsule", contact_public, "emergency", b"", contact_secret, contact_place[12])
contact_code = code_key(contact_secret, 3)
header += slot("emergency-contact", ["emergency"], code=contact_code, contact=(contact_public, capsule))
header += f"retired vector-store priority {b'an old key'.hex()}\n"
for name in ["priority", "standard", "emergency"]:
    mac = hmac.digest(derived(name, "header-mac"), header.encode(), "sha256")
    header += f"mac {name} {mac.hex()}\n"

subject_key, key_id = fixed("subject key", 32), fixed("subject key id", 16)
record_id = fixed("record", 16)
client, subject, kind = "Observation/hr-1", "Patient/Zoë", "Observation"
content = (
    bytes([1, 1 | 2 | 4 | 8 | 16 | 32])
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
        derived("standard", "intents"),
        "intent",
        b"\x01\x06" + lp(b"ada") + lp(b"TREAT") + b"\x02" + record_id,
        place("standard", 7, row=record_id),
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


def write(name, vector):
    place = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    path = place / name
    path.write_text(json.dumps(vector, indent=1, ensure_ascii=True) + "\n")


write("vault.json", vector)

# The audit trail of Standard with two entries, and the state that goes with it and with two rows.


def audit_event(at, actor, purpose, stage, failure, what, details=b""):
    return (
        struct.pack("<q", at) + lp(actor) + lp(purpose) + bytes([stage]) + lp(failure) + bytes([what]) + details
    )


slot_id = fixed("slot primary", 8)
changed = b"\x01\x00" + lp(kind.encode()) + struct.pack("<I", 2)
changed += b"\x02" + record_id + struct.pack("<QH", 3, 0)
changed += b"\x03" + fixed("another record", 16) + struct.pack("<QH", 0, 0xFFFF)
events = [
    audit_event(1_700_000_000_000_003, b"ada", b"TREAT", 2, b"", 2, slot_id + b"\x01" + slot_id + struct.pack("<I", 4)),
    audit_event(1_700_000_000_000_004, b"ada", b"TREAT", 2, b"", 10, changed),
]
root_key = fixed("audit root", 32)
step = lp(b"vitalock/1/audit-step") + bytes([CLASSES["standard"]])
chain, link, entries, packed = root_key, bytes(32), [], b""
for number, event in enumerate(events, 1):
    link = hashlib.sha256(
        lp(b"vitalock/1/audit-link") + vault + bytes([CLASSES["standard"]]) + struct.pack("<Q", number) + link + event
    ).digest()
    chain, mac_key = (out := hkdf(vault, chain, step, 64))[:32], out[32:]
    mac = hmac.digest(mac_key, link, "sha256")[:16]
    packed += mac + lp(event)
    plain = b"\x01" + link + mac + event
    entries.append(seal(derived("standard", "entries"), f"entry {number}", plain, place("standard", 9, number=number)))

rows_key, total = derived("standard", "rows"), 0
for table, revision, name in [(1, 3, "record"), (2, 2, "earlier")]:
    message = bytes([1, table]) + record_id + struct.pack("<Q", revision) + rows[name][-16:]
    total += int.from_bytes(hmac.digest(rows_key, message, "sha256"), "little")
total = (total % 2**256).to_bytes(32, "little")
generation, count = struct.pack("<Q", 9), struct.pack("<Q", len(events))
state = b"\x01" + generation + total + count + link + chain + bytes(8) + fixed("last event", 16)
root = hmac.digest(rows_key, b"\x02" + generation + total + count + link, "sha256")[:16]
write(
    "audit.json",
    {
        "vault": vault.hex(),
        "class_keys": {name: key.hex() for name, key in class_keys.items()},
        "root_key": root_key.hex(),
        "root": seal(derived("priority", "audit-root"), "audit root", root_key, place("standard", 6, number=3)).hex(),
        "events": [event.hex() for event in events],
        "entries": [entry.hex() for entry in entries],
        "segment": seal(
            derived("standard", "entries"), "segment", b"\x01" + struct.pack("<Q", 1) + bytes(32) + packed,
            place("standard", 14, number=2),
        ).hex(),
        "rows": {name: rows[name].hex() for name in ["record", "earlier"]},
        "record_id": record_id.hex(),
        "state": seal(derived("standard", "settings"), "state", state, place("standard", 6, number=2)).hex(),
        "anchored": (generation + root + count + link[:16]).hex(),
    },
)

# The same events in a trail of Priority, as evidence for an auditor.

auditor_key = fixed("auditor key", 32)
auditor_public = key_pair(auditor_key)[1]
step = lp(b"vitalock/1/audit-step") + bytes([CLASSES["priority"]])
chain, link = root_key, bytes(32)
evidence = lp(b"vitalock/1/evidence") + vault
evidence += mail("audit root", auditor_public, "priority", b"", root_key, place("priority", 15, number=3))
for number, event in enumerate(events, 1):
    link = hashlib.sha256(
        lp(b"vitalock/1/audit-link") + vault + bytes([CLASSES["priority"]]) + struct.pack("<Q", number) + link + event
    ).digest()
    chain, mac_key = (out := hkdf(vault, chain, step, 64))[:32], out[32:]
    evidence += hmac.digest(mac_key, link, "sha256")[:16] + lp(event)
write(
    "evidence.json",
    {
        "vault": vault.hex(),
        "auditor_key": auditor_key.hex(),
        "public": auditor_public.hex(),
        "evidence": evidence.hex(),
        "entries": len(events),
        "link": link.hex(),
    },
)

# A deposit for Priority, and two events from while the vault was locked.

deposit_content = (
    b"\x01\x01" + struct.pack("<qq", 1_700_000_000_000_005, 1_700_000_000_000_005)
    + struct.pack("<qq", -5, 1_600_000_000_000_000) + lp(b"application/fhir+json") + b'{"value": 2.00}'
)
deposit = b"\x01\x06" + lp(b"ada") + lp(b"TREAT")
deposit += b"\x01" + record_id + struct.pack("<Q", 1) + lp(kind.encode()) + b"\x01" + lp(subject.encode())
deposit += lp(deposit_content)
failures = [
    audit_event(at, b"ada", b"", 3, b"the passphrase or key is wrong", 20, bytes([kind_of_slot]))
    for at, kind_of_slot in [(1_700_000_000_000_006, 1), (1_700_000_000_000_007, 2)]
]
frames = b""
for number, event in enumerate(failures, 1):
    plain = lp(event).ljust(-(-len(lp(event)) // 256) * 256, b"\0")
    letter = mail(f"event {number}", inbox["standard"], "standard", b"", plain, place("standard", 11))
    frames += lp(letter) + hashlib.sha256(letter).digest()[:8]
write(
    "inbox.json",
    {
        "vault": vault.hex(),
        "class_keys": {name: key.hex() for name, key in class_keys.items()},
        "public": {name: key.hex() for name, key in inbox.items()},
        "id": record_id.hex(),
        "content": deposit.hex(),
        "deposit": mail(
            "deposit", inbox["priority"], "priority", derived("standard", "deposit"), deposit,
            place("priority", 10, row=record_id),
        ).hex(),
        "events": [event.hex() for event in failures],
        "file": frames.hex(),
    },
)

# A request to the contact, and the answer.

reply_key = fixed("reply key", 32)
reply_public = key_pair(reply_key)[1]
write(
    "contact.json",
    {
        "vault": vault.hex(),
        "slot": contact_slot.hex(),
        "contact_key": contact_key.hex(),
        "public": contact_public.hex(),
        "secret": contact_secret.hex(),
        "capsule": capsule.hex(),
        "reply_key": reply_key.hex(),
        "request": (lp(b"vitalock/1/request") + vault + contact_slot + contact_public + capsule + reply_public).hex(),
        "answer": mail("answer", reply_public, "emergency", b"", contact_secret, contact_place[13]).hex(),
    },
)

# A database of two pages, as SQLite lays it out, and a log with one commit that adds a row.

PAGE, TAIL = 4096, 40


def varint(value):
    """SQLite's: seven bits a byte, the highest first. Nothing here takes nine bytes."""
    digits = [value & 127]
    while value := value >> 7:
        digits.insert(0, value & 127 | 128)
    return bytes(digits)


def row(values):
    """A record in SQLite's format, of NULL, small integers, text and blobs."""
    types, body = b"", b""
    for value in values:
        match value:
            case None:
                types += varint(0)
            case int():
                types += varint(1)
                body += struct.pack(">b", value)
            case str():
                types += varint(13 + 2 * len(value.encode()))
                body += value.encode()
            case bytes():
                types += varint(12 + 2 * len(value))
                body += value
    # The length of the header counts itself, in one byte here.
    return varint(1 + len(types)) + types + body


def leaf(rows, before=b""):
    """A leaf of a table: cells from the end of what is not reserved, pointers from the front."""
    cells, pointers, at = b"", b"", PAGE - TAIL
    for number, values in rows:
        payload = row(values)
        cell = varint(len(payload)) + varint(number) + payload
        cells, at = cell + cells, at - len(cell)
        pointers += struct.pack(">H", at)
    head = before + struct.pack(">BHHHB", 13, 0, len(rows), at, 0) + pointers
    return head.ljust(at, b"\0") + cells + bytes(TAIL)


sql = "CREATE TABLE notes (number INTEGER PRIMARY KEY, body BLOB NOT NULL)"
database_header = (
    b"SQLite format 3\0"
    # Page size, WAL to write and to read, reserved bytes, three constants.
    + struct.pack(">HBBBBBB", PAGE, 2, 2, TAIL, 64, 32, 32)
    # Changes, pages, two of free pages, version and format of the schema.
    + struct.pack(">IIIIII", 1, 2, 0, 0, 1, 4)
    # Cache, largest root, UTF-8, user version, incremental vacuum, application.
    + struct.pack(">IIIIII", 0, 0, 1, 0, 0, 0)
    # At which change which SQLite wrote it.
    + bytes(20) + struct.pack(">II", 1, 3_051_003)
)
notes = [(1, b"in the database"), (2, fixed("a long note", 3000)), (3, b"only in the log")]
page_rows = [(number, [None, body]) for number, body in notes]
first = leaf([(1, ["table", "notes", "notes", 2, sql])], before=database_header)
database = first + leaf(page_rows[:2])


def checksum(sums, data):
    """That of SQLite's log, over little-endian words."""
    first, second = sums
    for one, other in struct.iter_unpack("<II", data):
        first = (first + one + second) & 0xFFFF_FFFF
        second = (second + other + first) & 0xFFFF_FFFF
    return first, second


salts = fixed("salts of the log", 8)
log = struct.pack(">IIII", 0x377F_0682, 3_007_000, PAGE, 0) + salts
sums = checksum((0, 0), log)
log += struct.pack(">II", *sums)
# Page 2, after whose commit the database has two pages.
frame, changed = struct.pack(">II", 2, 2), leaf(page_rows)
sums = checksum(checksum(sums, frame), changed)
log += frame + salts + struct.pack(">II", *sums) + changed


def seal_unit(name, role, number, plain):
    """Spec 06: ciphertext, nonce, tag, where SQLite has plain bytes and its reserved ones."""
    associated = (
        lp(b"vitalock/1/page") + b"\x01" + vault + bytes([CLASSES[name], role]) + struct.pack("<Q", number)
    )
    nonce = fixed(f"nonce of unit {role} {number}", 24)
    sealed = xaes_seal(derived(name, "page"), nonce, plain, associated)
    return sealed[: len(plain)] + nonce + sealed[len(plain) :]


sealed_database = b"".join(
    seal_unit("standard", 1, at // PAGE + 1, database[at : at + PAGE - TAIL])
    for at in range(0, len(database), PAGE)
)
# The header has no reserved bytes, so that its unit is longer.
sealed_log = seal_unit("standard", 2, 0, log[:32]) + seal_unit("standard", 3, 1, log[32:-TAIL])

with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory, "plain.db")
    path.write_bytes(database)
    pathlib.Path(directory, "plain.db-wal").write_bytes(log)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("SELECT number, body FROM notes").fetchall() == notes
    connection.close()

write(
    "pages.json",
    {
        "vault": vault.hex(),
        "class": CLASSES["standard"],
        "class_key": class_keys["standard"].hex(),
        "page_key": derived("standard", "page").hex(),
        "rows": [[number, body.hex()] for number, body in notes],
        "database": {"plain": database.hex(), "sealed": sealed_database.hex()},
        "log": {"plain": log.hex(), "sealed": sealed_log.hex()},
    },
)

# The table of failed attempts: two records, the older of which is written over next.


def attempts(sequence, entries):
    record = b"vitalock/1/tries" + struct.pack("<QQ", sequence, len(entries))
    for slot, failures, when in entries:
        record += slot + struct.pack("<Qq", failures, when)
    record = record.ljust(800, b"\0")
    return (record + hashlib.sha256(record).digest()).ljust(4096, b"\0")


older = [(fixed("attempts one", 8), 3, 77_000_000)]
newer = older + [(fixed("attempts two", 8), 9, 0)]
write(
    "attempts.json",
    {
        "sequence": 6,
        "entries": [[slot.hex(), failures, when] for slot, failures, when in newer],
        "file": (attempts(6, newer) + attempts(5, older)).hex(),
    },
)
