"""Windows: which hours they have, when they open next, and what an operator may write."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.windows import Window, _copied_zone, _zone, next_opening

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MINUTE = timedelta(minutes=1)
# They change their clocks at 1:00 UTC, at 2:00 and at midnight of local time, by half an hour, and
# never. The zones of the last line are not whole hours from UTC.
ZONES = (
    *("Europe/Berlin", "America/New_York", "America/Havana", "Australia/Lord_Howe"),
    *("UTC", "Pacific/Kiritimati", "Etc/GMT+12"),
    *("Asia/Kathmandu", "Pacific/Chatham", "America/St_Johns"),
)


def utc(text: str) -> datetime:
    """A time like "2030-03-31 01:00", in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def states(window: str, *times: str) -> str:
    """The state at each of the times (UTC): `o` for open, `-` for closed."""
    parsed = Window.parse(window)
    return "".join("o" if parsed.is_open(utc(one)) else "-" for one in times)


def opening(window: str, now: str) -> str:
    """When a window opens from `now` (UTC) on, in UTC."""
    return f"{Window.parse(window).opens_at(utc(now)).astimezone(UTC):%Y-%m-%d %H:%M}"


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Any window: of a minute or a day, over midnight, on some days or all."""
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True))
    begin = draw(st.integers(0, 24 * 60 - 1))
    end = draw(st.integers(0, 24 * 60).filter(lambda end: end != begin))
    zone = draw(st.sampled_from(ZONES))
    return Window.parse(f"{','.join(days)} {clock(begin)}-{clock(end)} {zone}")


def moments(zone: str) -> st.SearchStrategy[datetime]:
    """Times in 2030, many of them within two days of a change of the zone's clocks."""
    first = utc("2030-01-01 00:00")
    anywhere = st.integers(0, 364 * 86400).map(lambda seconds: first + timedelta(seconds=seconds))
    changes = changes_of(zone)
    if not changes:
        return anywhere
    near = st.builds(
        lambda change, seconds: change + timedelta(seconds=seconds),
        st.sampled_from(changes),
        st.integers(-48 * 3600, 48 * 3600),
    )
    return near | anywhere


@cache
def changes_of(zone: str) -> tuple[datetime, ...]:
    """When the clocks of a zone change in 2030, to the half hour."""
    times = [utc("2030-01-01 00:00") + timedelta(minutes=30 * count) for count in range(365 * 48)]
    offsets = [one.astimezone(ZoneInfo(zone)).utcoffset() for one in times]
    return tuple(
        at
        for at, before, after in zip(times[1:], offsets, offsets[1:], strict=False)
        if before != after
    )


class TestParse:
    @pytest.mark.parametrize(
        ("days", "expected"),
        [
            ("Mon", {0}),
            ("Mon-Fri", {0, 1, 2, 3, 4}),
            ("Fri-Mon", {4, 5, 6, 0}),
            ("Sun-Sat", {6, 0, 1, 2, 3, 4, 5}),
            ("Tue-Mon", set(range(7))),
            ("Wed-Wed", {2}),
            ("Mon,Wed,Sat-Sun", {0, 2, 5, 6}),
            ("Mon,Mon", {0}),
        ],
    )
    def test_days_are_listed_or_a_range_that_may_pass_sunday(
        self, days: str, expected: set[int]
    ) -> None:
        assert Window.parse(f"{days} 09:00-17:00 UTC").days == expected

    @pytest.mark.parametrize(
        ("hours", "begin", "end"),
        [
            ("09:00-17:00", 540, 1020),
            ("00:00-24:00", 0, 1440),
            ("22:00-02:00", 1320, 120),
            ("22:00-00:00", 1320, 0),
            ("23:59-24:00", 1439, 1440),
        ],
    )
    def test_hours_are_minutes_since_midnight(self, hours: str, begin: int, end: int) -> None:
        parsed = Window.parse(f"Mon {hours} UTC")
        assert (parsed.begin, parsed.end, parsed.zone) == (begin, end, "UTC")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "always",
            "Mon 09:00-17:00",
            "09:00-17:00 Europe/Berlin",
            "mon 09:00-17:00 UTC",
            "Monday 09:00-17:00 UTC",
            "Mon-Tue-Wed 09:00-17:00 UTC",
            "Mon, Tue 09:00-17:00 UTC",
            "Mon, 09:00-17:00 UTC",
            "Mon 9:00-17:00 UTC",
            "Mon 09:00-24:01 UTC",
            "Mon,Tue,Wed,Thu,Fri,Sat,Sun,Mon 09:00-17:00 UTC",
            "Mon 24:00-09:00 UTC",
            "Mon 25:00-09:00 UTC",
            "Mon 09:60-17:00 UTC",
            "Mon 09.00-17.00 UTC",
            "Mon  09:00-17:00 UTC",
            "Mon 09:00-17:00 UTC\n",
            "Mon 09:00-17:00 UTC ",
            "Mon 09:00-17:00 ../../etc/passwd",
            "Mon 09:00-17:00 /etc/localtime",
            "Mon 09:00-17:00 " + "A" * 51,
            "Mon \u0660\u0669:00-17:00 UTC",
        ],
    )
    def test_other_shape_is_an_error_with_an_example(self, text: str) -> None:
        with pytest.raises(ValueError, match=r'^must be like "Mon-Fri 09:00-17:00 Europe/Berlin"$'):
            Window.parse(text)

    @pytest.mark.parametrize("hours", ["09:00-09:00", "00:00-00:00"])
    def test_window_of_no_time_is_an_error(self, hours: str) -> None:
        with pytest.raises(ValueError, match="must end at another time than it begins"):
            Window.parse(f"Mon {hours} UTC")

    @pytest.mark.parametrize(
        "zone",
        [
            *("Europe/Berln", "Mars/Base", "europe/berlin", "CEST-2"),
            *("Europe", "Europe/", "Europe/Berlin/", "Europe//Berlin", "leapseconds"),
            *("localtime", "posixrules"),  # the machine's own
        ],
    )
    def test_unknown_zone_is_an_error_with_an_example(self, zone: str) -> None:
        with pytest.raises(ValueError, match=r"must name a time zone .* like Europe/Berlin or UTC"):
            Window.parse(f"Mon 09:00-17:00 {zone}")

    @given(windows())
    def test_text_of_a_window_is_parsed_as_the_same_window(self, window: Window) -> None:
        assert Window.parse(window.text) == window

    def test_two_ways_to_write_the_same_hours_are_two_windows(self) -> None:
        short, long = (Window.parse(f"{days} 09:00-17:00 UTC") for days in ("Mon-Tue", "Mon,Tue"))
        assert short.days == long.days
        assert short != long


class TestIsOpen:
    def test_window_has_its_first_minute_and_not_its_end(self) -> None:
        times = ("2030-01-07 08:59:59", "2030-01-07 09:00", "2030-01-07 16:59:59.999999")
        assert states("Mon 09:00-17:00 UTC", *times, "2030-01-07 17:00") == "-oo-"

    def test_day_counts_in_the_window_s_own_zone(self) -> None:
        times = ("2030-01-06 18:14", "2030-01-06 18:15", "2030-01-07 18:14", "2030-01-07 18:15")
        assert states("Mon 00:00-24:00 Asia/Kathmandu", *times) == "-oo-"

    def test_window_over_midnight_belongs_to_the_day_on_which_it_begins(self) -> None:
        times = (
            *("2030-01-04 01:00", "2030-01-04 21:59", "2030-01-04 22:00"),  # Friday
            *("2030-01-05 01:59", "2030-01-05 02:00", "2030-01-05 22:00"),
        )
        assert states("Fri 22:00-02:00 UTC", *times) == "--oo--"

    def test_window_over_midnight_of_sunday_is_open_on_monday(self) -> None:
        times = ("2030-01-06 23:00", "2030-01-07 01:00", "2030-01-08 01:00")
        assert states("Sun 22:00-02:00 UTC", *times) == "oo-"

    def test_window_until_zero_ends_at_midnight(self) -> None:
        times = ("2030-01-04 23:59", "2030-01-05 00:00")
        for end in ("00:00", "24:00"):
            assert states(f"Fri 22:00-{end} UTC", *times) == "o-"

    def test_whole_week_is_always_open(self) -> None:
        hours = [f"2030-01-0{day} {hour:02}:30" for day in range(1, 9) for hour in range(24)]
        assert states("Mon-Sun 00:00-24:00 UTC", *hours) == "o" * len(hours)

    @given(windows(), st.data(), st.integers(-23, 23))
    def test_zone_of_the_given_time_does_not_matter(
        self, window: Window, data: st.DataObject, hours: int
    ) -> None:
        now = data.draw(moments(window.zone))
        for zone in (timezone(timedelta(hours=hours)), ZoneInfo(window.zone)):
            assert window.is_open(now.astimezone(zone)) == window.is_open(now)


class TestChangeOfTheClocks:
    """Germany: at 01:00 UTC. New York: at 2:00 of local time, that is 07:00 and 06:00 UTC."""

    def test_begin_in_the_skipped_hour_opens_as_the_clocks_change(self) -> None:
        window, day = "Sun 02:30-04:00 Europe/Berlin", "2030-03-31"
        times = (f"{day} 00:59:59", f"{day} 01:00", f"{day} 01:59", f"{day} 02:00")
        assert states(window, *times) == "-oo-"
        assert opening(window, "2030-03-30 12:00") == f"{day} 01:00"

    def test_end_in_the_skipped_hour_closes_as_the_clocks_change(self) -> None:
        window, day = "Sun 01:00-02:30 America/New_York", "2030-03-10"
        times = (f"{day} 05:59", f"{day} 06:00", f"{day} 06:59", f"{day} 07:00")
        assert states(window, *times) == "-oo-"

    def test_window_within_the_skipped_hour_opens_a_week_later(self) -> None:
        window = "Sun 02:15-02:45 America/New_York"
        assert opening(window, "2030-03-10 00:00") == "2030-03-17 06:15"

    def test_window_over_the_skipped_hour_is_an_hour_shorter(self) -> None:
        window, day = "Sun 01:00-04:00 America/New_York", "2030-03-10"
        times = (f"{day} 05:59", f"{day} 06:00", f"{day} 07:59", f"{day} 08:00")
        assert states(window, *times) == "-oo-"

    def test_window_over_the_repeated_hour_is_an_hour_longer(self) -> None:
        window, day = "Sun 01:00-04:00 Europe/Berlin", "2030-10-27"
        times = ("2030-10-26 22:59", "2030-10-26 23:00", f"{day} 02:59", f"{day} 03:00")
        assert states(window, *times) == "-oo-"

    def test_begin_in_the_repeated_hour_opens_twice(self) -> None:
        window, day = "Sun 02:30-04:00 Europe/Berlin", "2030-10-27"
        times = (*(f"{day} 00:{at}" for at in (29, 30, 59)), f"{day} 01:00", f"{day} 01:30")
        assert states(window, *times) == "-oo-o"
        assert opening(window, f"{day} 00:00") == f"{day} 00:30"
        assert opening(window, f"{day} 01:00") == f"{day} 01:30"

    def test_end_in_the_repeated_hour_opens_again_as_the_clocks_change(self) -> None:
        window, day = "Sun 00:00-01:15 America/New_York", "2030-11-03"
        times = (f"{day} 05:14", f"{day} 05:15", f"{day} 06:00", f"{day} 06:14", f"{day} 06:15")
        assert states(window, *times) == "o-oo-"
        assert opening(window, f"{day} 05:30") == f"{day} 06:00"

    @pytest.mark.parametrize(
        ("now", "opens"),
        [
            ("2030-03-29 16:00", "2030-04-01 07:00"),  # winter to summer: an hour earlier in UTC
            ("2030-03-22 17:00", "2030-03-25 08:00"),
            ("2030-10-25 15:00", "2030-10-28 08:00"),  # summer to winter
            ("2030-10-18 15:00", "2030-10-21 07:00"),
        ],
    )
    def test_office_hours_begin_at_the_same_wall_clock_hour(self, now: str, opens: str) -> None:
        assert opening("Mon-Fri 09:00-17:00 Europe/Berlin", now) == opens

    def test_day_without_a_midnight_begins_at_one(self) -> None:
        assert opening("Sun 00:00-06:00 America/Havana", "2030-03-09 12:00") == "2030-03-10 05:00"


class TestOpensAt:
    @pytest.mark.parametrize(
        ("now", "opens"),
        [
            ("2030-01-07 08:59:59", "2030-01-07 09:00"),  # Monday
            ("2030-01-07 09:00", "2030-01-07 09:00"),
            ("2030-01-07 17:00", "2030-01-08 09:00"),
            ("2030-01-11 17:00", "2030-01-14 09:00"),  # Friday
            ("2030-01-13 09:00", "2030-01-14 09:00"),  # Sunday, at the hour
        ],
    )
    def test_it_is_the_next_begin_on_one_of_the_days(self, now: str, opens: str) -> None:
        assert opening("Mon-Fri 09:00-17:00 UTC", now) == opens

    def test_window_that_just_closed_for_the_week_opens_a_week_later(self) -> None:
        assert opening("Mon 09:00-09:01 UTC", "2030-01-07 09:01") == "2030-01-14 09:00"

    def test_open_window_opens_now(self) -> None:
        now = utc("2030-01-07 10:11:12.000013")
        assert Window.parse("Mon-Sun 00:00-24:00 UTC").opens_at(now) == now

    def test_time_is_in_the_window_s_zone(self) -> None:
        opens = Window.parse("Mon 09:00-17:00 Asia/Kathmandu").opens_at(utc("2030-01-07 03:00"))
        assert opens.isoformat() == "2030-01-07T09:00:00+05:45"

    @given(windows(), st.data())
    def test_it_is_open_then_and_closed_just_before(
        self, window: Window, data: st.DataObject
    ) -> None:
        now = data.draw(moments(window.zone))
        opens = window.opens_at(now).astimezone(UTC)
        assert opens >= now
        assert window.is_open(opens)
        if opens > now:
            assert not window.is_open(now)
            assert not window.is_open(opens - timedelta(microseconds=1))
            assert not opens.second
            assert not opens.microsecond

    @given(windows(), st.data())
    def test_it_is_closed_at_each_minute_before(self, window: Window, data: st.DataObject) -> None:
        now = data.draw(moments(window.zone))
        opens = window.opens_at(now)
        minute, latest = now, min(opens.astimezone(UTC), now + timedelta(hours=12))
        while minute < latest:
            assert not window.is_open(minute)
            minute += MINUTE

    @given(windows(), st.data())
    def test_window_opens_within_two_weeks(self, window: Window, data: st.DataObject) -> None:
        now = data.draw(moments(window.zone))
        assert window.opens_at(now) - now <= timedelta(days=14, hours=1)

    @given(windows(), st.data(), st.integers(-23, 23))
    def test_zone_of_the_given_time_does_not_matter(
        self, window: Window, data: st.DataObject, hours: int
    ) -> None:
        now = data.draw(moments(window.zone))
        opens = window.opens_at(now).astimezone(UTC)
        for zone in (timezone(timedelta(hours=hours)), ZoneInfo(window.zone)):
            assert window.opens_at(now.astimezone(zone)).astimezone(UTC) == opens


class TestNextOpening:
    OFFICE = Window.parse("Mon-Fri 09:00-17:00 Europe/Berlin")
    NIGHT = Window.parse("Sat 02:00-04:00 UTC")

    def test_open_window_needs_no_opening(self) -> None:
        assert next_opening([self.OFFICE], utc("2030-01-07 10:00")) is None

    @pytest.mark.parametrize("now", ["2030-01-07 10:00", "2030-01-05 03:00"])
    def test_one_open_window_of_two_is_enough(self, now: str) -> None:
        for both in ((self.OFFICE, self.NIGHT), (self.NIGHT, self.OFFICE)):
            assert next_opening(both, utc(now)) is None

    @pytest.mark.parametrize(
        ("now", "opens"),
        [
            ("2030-01-04 16:00", "2030-01-05T02:00:00+00:00"),
            ("2030-01-05 04:00", "2030-01-07T09:00:00+01:00"),
        ],
    )
    def test_window_that_opens_first_counts_with_its_zone(self, now: str, opens: str) -> None:
        for both in ((self.OFFICE, self.NIGHT), (self.NIGHT, self.OFFICE)):
            found = next_opening(both, utc(now))
            assert found
            assert found.isoformat() == opens

    def test_windows_may_be_read_once(self) -> None:
        found = next_opening(iter([self.OFFICE]), utc("2030-01-06 00:00"))
        assert found == utc("2030-01-07 08:00")

    def test_first_opening_of_a_repeated_hour_counts_although_its_clock_time_is_later(self) -> None:
        again = Window.parse("Sun 02:00-02:08 Europe/Berlin")  # at 02:00 of winter time
        later = Window.parse("Sun 02:30-04:00 Europe/Berlin")  # at 02:30 of summer time
        found = next_opening([again, later], utc("2030-10-27 00:10"))
        assert found
        assert found.astimezone(UTC) == utc("2030-10-27 00:30")

    @given(st.lists(windows(), min_size=1, max_size=4), st.data())
    def test_next_opening_is_none_or_the_first_of_all(
        self, listed: list[Window], data: st.DataObject
    ) -> None:
        now = data.draw(moments(listed[0].zone))
        found = next_opening(listed, now)
        if any(one.is_open(now) for one in listed):
            assert found is None
        else:
            assert found
            assert found.timestamp() == min(one.opens_at(now).timestamp() for one in listed)


@pytest.fixture
def no_database() -> Iterator[None]:
    """The machine has no tz database, as a minimal image."""
    path = zoneinfo.TZPATH
    try:
        zoneinfo.reset_tzpath(to=())
        ZoneInfo.clear_cache()
        _zone.cache_clear()
        with pytest.raises(ZoneInfoNotFoundError):
            ZoneInfo("Europe/Berlin")
        yield
    finally:
        zoneinfo.reset_tzpath(to=path)
        _zone.cache_clear()


@pytest.mark.usefixtures("no_database")
class TestWithoutADatabase:
    def test_window_is_open_and_opens_at_the_same_times(self) -> None:
        window, day = "Sun 02:30-04:00 Europe/Berlin", "2030-10-27"
        times = (*(f"{day} 00:{at}" for at in (29, 30, 59)), f"{day} 01:00", f"{day} 01:30")
        assert states(window, *times) == "-oo-o"
        assert opening(window, f"{day} 00:00") == f"{day} 00:30"
        assert opening(window, f"{day} 01:00") == f"{day} 01:30"
        assert opening(window, "2030-03-30 12:00") == "2030-03-31 01:00"

    @pytest.mark.parametrize("zone", ["Europe/Berln", "Europe", "localtime", "posixrules"])
    def test_unknown_zone_is_an_error(self, zone: str) -> None:
        with pytest.raises(ValueError, match="must name a time zone"):
            Window.parse(f"Mon 09:00-17:00 {zone}")


class TestCopiedZone:
    @pytest.mark.parametrize("name", ZONES)
    def test_clocks_are_those_of_the_database(self, name: str) -> None:
        copied = _copied_zone(name)
        months = [utc(f"2030-{month:02}-15 12:00") for month in range(1, 13)]
        near = [
            change + timedelta(minutes=minutes)
            for change in changes_of(name)
            for minutes in range(-180, 181, 15)
        ]
        for at in (*months, *near):
            here, there = at.astimezone(ZoneInfo(name)), at.astimezone(copied)
            assert here.replace(tzinfo=None) == there.replace(tzinfo=None)
            assert (here.utcoffset(), here.tzname()) == (there.utcoffset(), there.tzname())
            assert there.timestamp() == at.timestamp()
