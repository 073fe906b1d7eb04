"""Compares a file of messages, each a line of hexadecimal bytes and ninep's text, with what pyroute2 makes of them.

pyroute2 knows no fields of flush, create and remove; of those only the head is compared. It counts characters where
the protocol counts bytes when it writes a string, so only messages in ASCII are written again.
"""

import sys

from pyroute2 import plan9


def words(line):
    """The words of a line, quoted as rc does, or % and hexadecimal digits."""
    found, i = [], 0
    while i < len(line):
        if line[i] == " ":
            i += 1
        elif line[i] == "'":
            word, i = "", i + 1
            while not (line[i] == "'" and line[i + 1 : i + 2] != "'"):
                word += line[i]
                i += 2 if line[i] == "'" else 1
            i += 1
            found.append(word.encode())
        else:
            end = line.find(" ", i)
            end = len(line) if end < 0 else end
            word, i = line[i:end], end
            found.append(bytes.fromhex(word[1:]) if word[0] == "%" else word.encode())
    return found


def number(word):
    return {b"NOFID": 0xFFFFFFFF, b"NOTAG": 0xFFFF}.get(word) if word[:1] == b"N" else int(word, 0)


def qid(word):
    path, vers, kind = word.decode().split(",")
    bits = sum(0x80 >> "dalmAtSL".index(c) for c in kind if c != "-")
    return {"type": bits, "vers": int(vers), "path": int(path)}


STAT = ["type", "dev", "qid", "mode", "atime", "mtime", "length", "name", "uid", "gid", "muid"]
TEXTS = {"version", "uname", "aname", "ename", "name", "uid", "gid", "muid"}


def value(key, word):
    if key in TEXTS:
        return word.decode()
    if key in ("qid", "aqid"):
        return qid(word)
    return word if key == "data" else number(word)


def fields(found):
    """The fields that a line of text tells, as pyroute2 names and nests them."""
    told, i = {}, 0
    while i < len(found):
        key = found[i].decode()
        key = "type" if key == "kind" else key
        if key in ("nwname", "nwqid"):
            name, n = key[1:], number(found[i + 1])
            each = qid if name == "wqid" else bytes.decode
            told[name] = [each(w) for w in found[i + 3 : i + 3 + n]]
            break
        told[key] = value(key, found[i + 1])
        i += 2
    if "muid" in told:
        stat = {k: told.pop(k) for k in STAT}
        for part, v in stat.pop("qid").items():
            stat["qid." + part] = v
        told["stat"] = stat
    if "data" in told:
        del told["count"]
    if "aqid" in told:
        q = told["aqid"]
        packed = q["vers"].to_bytes(4, "little") + q["path"].to_bytes(8, "little")
        told["aqid"] = (q["type"], *packed)
    return told


def is_ascii(v):
    if isinstance(v, str):
        return v.isascii()
    if isinstance(v, (list, tuple)):
        return all(is_ascii(w) for w in v)
    return all(is_ascii(w) for w in v.values()) if isinstance(v, dict) else True


def check(name, data, told):
    kind = getattr(plan9, "msg_" + name.lower(), plan9.msg_base)
    message = kind(data)
    message.decode()
    assert message["header"] == {"length": len(data), "type": data[4], "tag": told.pop("tag")}, message["header"]
    if not kind.fields:
        return 3, 0
    read = {k: message[k] for k in told}
    if "stat" in read:
        assert read["stat"].pop("size") == len(data) - (9 if name == "Rstat" else 13) - 2
    if "data" in read:
        read["data"] = bytes(read["data"])
    assert read == told, f"pyroute2 reads {read}"
    if not is_ascii(told):
        return 3 + len(told), 0
    again = kind()
    again["header"]["type"], again["header"]["tag"] = data[4], message["header"]["tag"]
    for k, v in told.items():
        again[k] = v
    again.encode()
    assert bytes(again.data) == data, f"pyroute2 writes {bytes(again.data).hex()}"
    return 3 + len(told), 1


def main():
    messages = compared = written = 0
    with open(sys.argv[1], encoding="utf-8", newline="\n") as file:
        for line in file:
            data, text = line.rstrip("\n").split(" ", 1)
            found = words(text)
            try:
                n, w = check(found[0].decode(), bytes.fromhex(data), fields(found[1:]))
            except Exception as why:
                sys.exit(f"{text}: {why!r}")
            messages, compared, written = messages + 1, compared + n, written + w
    print(f"{messages} messages, {compared} fields, {written} written the same")


main()
