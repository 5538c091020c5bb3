"""Memory for letters has an end: what does not fit goes to a file or is told to come again, and nobody is shut out."""

import asyncio
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.desk import DeskUnderTest
from tests.support.fake_upstream import HANG
from tests.support.memory_gate import MemoryGate
from tests.support.smtp_gate import Notes
from tests.support.stationery import LETTER

from pennyred.config.validation import MEMORY_BYTES_MIN
from pennyred.gate.smtp.memory_budget import BY_RIGHT_OCTETS, OCTETS_MIN, LetterMemory, octets_of_header
from pennyred.gate.smtp.spool import Problem, Spool, SpoolLimits
from pennyred.postage.letter import HEADER_BYTES_MAX, HEADER_FIELDS_MAX, parse_header, split_letter

ENVELOPE = b"MAIL FROM:<ann@sender.example>\r\nRCPT TO:<bob@example.org>\r\n"
PIECE = 64 * 1024
FIELD = b"X-Drip: " + b"y" * 990 + b"\r\n"


def small_memory(gate: MemoryGate, octets_max: int) -> LetterMemory:
    """The gate with so much memory for letters."""
    memory = gate.server._house.memory = LetterMemory(octets_max, gate.notes)
    return memory


class TestTheBudget:
    def test_a_little_is_everybodys_by_right(self):
        memory = LetterMemory(1000, Notes())
        shares = [memory.share() for _ in range(100)]
        assert all(share.hold(BY_RIGHT_OCTETS) for share in shares)
        assert not any(share.hold(BY_RIGHT_OCTETS + 1) for share in shares)
        assert memory.used == 100 * BY_RIGHT_OCTETS

    def test_nobody_has_more_than_a_quarter_of_what_is_left(self):
        memory = LetterMemory(16_000_000, Notes())
        held = []
        while memory.share().hold(left := (memory.octets_max - memory.used) // 4):
            held.append(left)
            if left < BY_RIGHT_OCTETS:
                break
        assert held[:3] == [4_000_000, 3_000_000, 2_250_000]
        assert len(held) > 14, "it takes very many who hold much before anybody has to wait who holds little"

    def test_what_is_let_go_is_there_again(self):
        memory = LetterMemory(4_000_000, Notes())
        first, second = memory.share(), memory.share()
        assert first.hold(1_000_000)
        assert not second.hold(1_000_000)
        first.release()
        assert second.hold(1_000_000)
        assert second.hold(10)
        assert memory.used == 10

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5_000_000)), max_size=60))
    def test_the_sum_is_right_whatever_is_held_and_let_go(self, steps):
        memory = LetterMemory(8_000_000, Notes())
        shares = [memory.share(by_right=place * 1000) for place in range(6)]
        for place, octets in steps:
            before = shares[place].held
            is_held = shares[place].hold(octets)
            assert shares[place].held == (octets if is_held else before)
            assert memory.used == sum(share.held for share in shares)
            assert memory.used <= memory.octets_max + sum(place * 1000 for place in range(6))

    def test_any_letter_that_may_be_at_all_fits_into_the_least_that_can_be_set(self):
        longest = octets_of_header(HEADER_BYTES_MAX, HEADER_FIELDS_MAX)
        assert MEMORY_BYTES_MIN >= OCTETS_MIN == 4 * longest
        assert LetterMemory(MEMORY_BYTES_MIN, Notes()).share().hold(longest)

    @pytest.mark.parametrize(
        "section",
        [
            b"a:\r\n" * 19_999,
            b"a: " + b"x" * 4_000_000 + b"\r\n",
            b"a: b\r\n" + b" x\r\n" * 1_000_000,
            b"".join(b"X-%d: y\r\n" % number for number in range(19_999)),
            FIELD * 4000,
        ],
    )
    def test_what_is_counted_for_a_header_section_is_what_it_takes(self, section):
        counted = octets_of_header(len(section), min(section.count(b"\n"), HEADER_FIELDS_MAX))
        tracemalloc.start()
        header = parse_header(b"%s" % section)
        assert header.raw == section
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held <= counted
        assert peak <= 2 * counted


class TestTheSpool:
    LIMITS = SpoolLimits(letter_bytes_max=10_000_000)

    def spooled(self, letter: bytes, memory: LetterMemory, piece: int = PIECE, limits: SpoolLimits | None = None):
        share = memory.share()
        spool = Spool(limits or self.LIMITS, share)
        for start in range(0, len(letter), piece):
            spool.write(letter[start : start + piece])
            assert share.held <= BY_RIGHT_OCTETS + limits.memory_bytes_max if limits else True
        return spool.finish(0)

    @pytest.mark.parametrize("piece", [1000, 1001, PIECE, 10_000_000])
    @pytest.mark.parametrize("octets", [BY_RIGHT_OCTETS - 2000, BY_RIGHT_OCTETS, 300_000, 3_000_000])
    @pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\nhello\r\n", b"\r\n" + b"x" * 400_000 + b"\r\n"])
    def test_a_long_header_section_comes_back_from_the_file_as_it_was(self, octets, body, piece):
        memory = LetterMemory(MEMORY_BYTES_MIN, Notes())
        letter = FIELD * (octets // len(FIELD)) + body
        received = self.spooled(letter, memory, piece)
        assert not isinstance(received, Problem)
        for _ in range(2):
            assert received.header.raw + b"".join(received.body()) == letter
        assert received.header.raw == split_letter(letter)[0]
        assert received.size == len(letter)
        assert memory.used >= 2 * len(received.header.raw)
        received.close()
        assert memory.used == 0

    def test_while_it_comes_it_stands_in_memory_by_right_and_no_more(self):
        memory = LetterMemory(MEMORY_BYTES_MIN, Notes())
        spools = [Spool(self.LIMITS, memory.share()) for _ in range(20)]
        tracemalloc.start()
        for _ in range(2_000_000 // PIECE):
            for spool in spools:
                spool.write(FIELD * (PIECE // len(FIELD)))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < len(spools) * 2 * BY_RIGHT_OCTETS
        assert memory.used <= len(spools) * BY_RIGHT_OCTETS
        for spool in spools:
            spool.discard()
        assert memory.used == 0

    def test_a_body_is_in_a_file_sooner_where_memory_is_short(self):
        memory = LetterMemory(1_200_000, Notes())
        letter = b"a: b\r\n\r\n" + b"x" * 250_000 + b"\r\n"
        letters = [self.spooled(letter, memory) for _ in range(30)]
        files = [one.file is not None for one in letters]
        assert files == sorted(files)
        assert files[0] is False
        assert files[-1] is True
        assert all(b"a: b\r\n" + b"".join(one.body()) == letter for one in letters)
        assert memory.used <= memory.octets_max + 30 * BY_RIGHT_OCTETS
        for one in letters:
            one.close()
        assert memory.used == 0

    def test_for_a_header_section_the_body_makes_room(self):
        """Its letter is not told to come again because of its own body."""
        memory = LetterMemory(1_200_000, Notes())
        limits = SpoolLimits(letter_bytes_max=10_000_000, memory_bytes_max=290_000)
        letter = FIELD * 50 + b"\r\n" + b"x" * 200_000 + b"\r\n"
        received = self.spooled(letter, memory, limits=limits)
        assert not isinstance(received, Problem)
        assert received.file is not None
        assert received.header.raw + b"".join(received.body()) == letter
        received.close()

    def test_where_there_is_none_left_a_long_header_section_is_not_kept(self):
        memory = LetterMemory(1_000_000, Notes())
        assert self.spooled(FIELD * 1000 + b"\r\nhello\r\n", memory) is Problem.NO_MEMORY
        assert memory.used == 0

    def test_folds_without_number_cost_no_memory_of_their_own(self):
        section = b"a: b\r\n" + b" x\r\n" * 1_000_000
        tracemalloc.start()
        parse_header(section)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2 * len(section)


class TestTheGate:
    def test_those_who_let_header_sections_drip_take_what_is_theirs_by_right(self):
        with MemoryGate(options={"connections_per_network_max": 1000}) as gate:
            memory = small_memory(gate, MEMORY_BYTES_MIN)
            clients = [gate.client() for _ in range(40)]
            for client in clients:
                client.send(ENVELOPE + b"DATA\r\n")
            for _ in range(8):
                for client in clients:
                    client.send(FIELD * 64)
            assert memory.used <= len(clients) * (BY_RIGHT_OCTETS + 1000)
            for client in clients[:20]:
                client.send(None)
            said = clients[-1].send(b"Subject: x\r\n\r\nhello\r\n.\r\n")
            assert said.startswith(b"250 ")
            assert gate.desk.letters[0].startswith(FIELD * 512)

    def test_a_header_section_that_does_not_fit_is_told_to_come_again_and_a_short_letter_passes(self):
        with MemoryGate() as gate:
            memory = small_memory(gate, 100_000)
            client = gate.client()
            client.send(ENVELOPE + b"DATA\r\n")
            said = client.send(FIELD * 200 + b"\r\nhello\r\n.\r\n")
            assert said == b"452 4.3.1 Too little memory for so long a header section just now, try again later\r\n"
            client.send(ENVELOPE)
            chunk = FIELD * 200 + b"\r\nhello\r\n"
            assert client.send(b"BDAT %d LAST\r\n%s" % (len(chunk), chunk)).startswith(b"452 4.3.1 ")
            client.send(ENVELOPE + b"DATA\r\n")
            assert client.send(FIELD * 20 + b"\r\n" + b"x" * 300_000 + b"\r\n.\r\n").startswith(b"250 ")
            assert len(gate.desk.letters) == 1
            [line] = [facts for _, event, facts in gate.notes.lines if event == "smtp.memory_short"]
            assert line["what"] == "a header section"
            assert memory.deferred == 2
            assert memory.used == 0

    def test_recipients_of_great_length_are_told_to_come_again_and_those_that_fit_get_the_letter(self):
        lines = [b"RCPT TO:<bob%d@example.org> ORCPT=rfc822;%s\r\n" % (number, b"x" * 1900) for number in range(200)]
        with MemoryGate() as gate:
            memory = small_memory(gate, 200_000)
            client = gate.client()
            client.send(b"MAIL FROM:<ann@sender.example>\r\n")
            said = b"".join(map(client.send, lines))
            codes = [line[:9] for line in said.split(b"\r\n")[:-1]]
            taken = codes.count(b"250 2.0.0")
            assert 12 < taken < 200
            assert codes == [b"250 2.0.0"] * taken + [b"452 4.5.3"] * (200 - taken)
            assert memory.used <= 64_000
            client.send(b"DATA\r\n")
            assert client.send(b"Subject: x\r\n\r\nhello\r\n.\r\n").startswith(b"250 ")
            assert len(gate.desk.envelopes[0].recipients) == taken
            assert memory.used == 0

    def test_recipients_of_usual_length_are_not_counted_out(self):
        with MemoryGate() as gate:
            client = gate.client()
            client.send(b"MAIL FROM:<ann@sender.example>\r\n")
            for number in range(1000):
                assert client.send(b"RCPT TO:<somebody.%d@example.org>\r\n" % number).startswith(b"250 ")
            assert gate.server._house.memory.used < 600_000
            client.send(b"RSET\r\n")
            assert gate.server._house.memory.used == 0

    @pytest.mark.parametrize("left_by", ["RSET", "MAIL refused", "EHLO", "the end"])
    def test_an_envelope_that_comes_to_nothing_holds_nothing(self, left_by):
        with MemoryGate() as gate:
            client = gate.client()
            if left_by == "MAIL refused":
                gate.upstream.answers[b"MAIL"].append(b"550 5.7.1 no\r\n")
            client.send(ENVELOPE + b"RCPT TO:<carl@example.org>\r\n")
            word = {"RSET": b"RSET\r\n", "EHLO": b"EHLO x.example\r\n", "the end": b"QUIT\r\n"}.get(
                left_by, b"NOOP\r\n"
            )
            client.send(word)
            if left_by == "MAIL refused":
                client.send(b"MAIL FROM:<ann@sender.example>\r\n")
            assert gate.server._house.memory.used == 0

    def test_with_the_real_desk_everything_is_given_back(self):
        bench = DeskUnderTest()
        with MemoryGate(desk=bench.desk) as gate:
            gate.loop.run_until_complete(bench.office.open(100))
            client = gate.client()
            for letter in (LETTER, bench.stationery.stamped(LETTER, "bob@example.org")):
                client.send(ENVELOPE + b"DATA\r\n")
                client.send(letter + b".\r\n")
                assert gate.server._house.memory.used == 0

    def test_who_says_much_and_reads_nothing_is_cut_off_where_memory_is_short(self):
        with MemoryGate(options={"idle_commands_max": 10**6, "errors_max": 10**6}) as gate:
            memory = small_memory(gate, 100_000)
            client = gate.client()
            client.is_deaf = True
            session = next(iter(gate.server._house.sessions))
            session.wire.pause_writing()
            client.send(b"NOOP\r\n" * 10)
            client.send(b"NOOP\r\n" * 20_000)
            assert not gate.server.sessions
            assert memory.used == 0

    def test_what_is_said_while_the_mail_server_takes_its_time_is_counted_and_no_more_is_read(self):
        with MemoryGate() as gate:
            memory = small_memory(gate, MEMORY_BYTES_MIN)
            clients = [gate.client() for _ in range(20)]
            gate.upstream.answers[b"MAIL"] += [HANG] * 20
            for client in clients:
                client.send(ENVELOPE + b"NOOP\r\n" * 20_000)
            assert all(session.wire._is_reading_paused for session in gate.server._house.sessions)
            assert memory.used > 20 * 6 * 19_000
            for client in clients:
                client.transport.abort()
        assert memory.used == 0

    def test_who_says_much_while_a_letter_is_in_hand_hears_of_the_letter_first(self):
        with MemoryGate() as gate:
            small_memory(gate, 100_000)
            client = gate.client()
            gate.desk.may_go = asyncio.Event()
            client.send(ENVELOPE + b"DATA\r\n")
            client.send(b"Subject: x\r\n\r\nhello\r\n.\r\n" + b"NOOP\r\n" * 20_000)
            gate.desk.may_go.set()
            said = client.send(b"")
            assert said.startswith(b"250 ")
            assert said.endswith(b"421 4.3.2 Too busy, try again later\r\n")


def test_files_of_the_spool_go_to_their_folder(tmp_path: Path):
    spool = Spool(
        SpoolLimits(10_000_000, directory=tmp_path / "nowhere"), LetterMemory(MEMORY_BYTES_MIN, Notes()).share()
    )
    with pytest.raises(FileNotFoundError):
        spool.write(FIELD * 100)
