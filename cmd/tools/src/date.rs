//! Calendar dates from seconds since 1970, in UTC, which is the only zone that the machine knows.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
/// `date` without a format.
pub const USUAL: &str = "%a %b %e %H:%M:%S %Z %Y";

/// A moment, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    seconds: u64,
    /// The year.
    pub year: u64,
    /// The month, from 1.
    pub month: u64,
    /// The day of the month, from 1.
    pub day: u64,
}

fn leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

impl Date {
    /// The date of so many seconds since 1970.
    #[must_use]
    pub fn new(seconds: u64) -> Date {
        // Counted from the first of March of year 0, a year's irregular day is its last.
        let z = seconds / 86400 + 719_468;
        let (era, doe) = (z / 146_097, z % 146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
        Date { seconds, year: yoe + era * 400 + u64::from(month <= 2), month, day }
    }

    fn day_of_year(&self) -> u64 {
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let month = usize::try_from(self.month - 1).unwrap_or(0).min(11);
        before[month] + self.day + u64::from(self.month > 2 && leap(self.year))
    }

    /// The moment as strftime(3) formats it; what is no known letter stays as it is.
    #[must_use]
    pub fn format(&self, format: &str, nanoseconds: u64) -> String {
        let mut out = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let Some(letter) = chars.next() else {
                out.push('%');
                break;
            };
            self.field(letter, nanoseconds, &mut out);
        }
        out
    }

    fn field(&self, letter: char, nanoseconds: u64, out: &mut String) {
        let (h, m, s) = (self.seconds / 3600 % 24, self.seconds / 60 % 60, self.seconds % 60);
        let month = MONTHS[usize::try_from(self.month - 1).unwrap_or(0).min(11)];
        let weekday = self.seconds / 86400 % 7;
        let name = DAYS[usize::try_from(weekday).unwrap_or(0)];
        let hour12 = if h % 12 == 0 { 12 } else { h % 12 };
        let nested = |f: &str| self.format(f, nanoseconds);
        // A String takes all that is written to it.
        let _ = match letter {
            'Y' => write!(out, "{}", self.year),
            'C' => write!(out, "{:02}", self.year / 100),
            'y' => write!(out, "{:02}", self.year % 100),
            'm' => write!(out, "{:02}", self.month),
            'd' => write!(out, "{:02}", self.day),
            'e' => write!(out, "{:2}", self.day),
            'j' => write!(out, "{:03}", self.day_of_year()),
            'H' => write!(out, "{h:02}"),
            'I' => write!(out, "{hour12:02}"),
            'k' => write!(out, "{h:2}"),
            'l' => write!(out, "{hour12:2}"),
            'M' => write!(out, "{m:02}"),
            'S' => write!(out, "{s:02}"),
            'N' => write!(out, "{nanoseconds:09}"),
            's' => write!(out, "{}", self.seconds),
            'p' => write!(out, "{}", if h < 12 { "AM" } else { "PM" }),
            'a' => write!(out, "{}", &name[..3]),
            'A' => write!(out, "{name}"),
            'b' | 'h' => write!(out, "{}", &month[..3]),
            'B' => write!(out, "{month}"),
            'u' => write!(out, "{}", (weekday + 3) % 7 + 1),
            'w' => write!(out, "{}", (weekday + 4) % 7),
            'Z' => write!(out, "UTC"),
            'z' => write!(out, "+0000"),
            'F' => write!(out, "{}", nested("%Y-%m-%d")),
            'T' => write!(out, "{}", nested("%H:%M:%S")),
            'R' => write!(out, "{}", nested("%H:%M")),
            'D' => write!(out, "{}", nested("%m/%d/%y")),
            'r' => write!(out, "{}", nested("%I:%M:%S %p")),
            'n' => writeln!(out),
            't' => write!(out, "\t"),
            '%' => write!(out, "%"),
            other => write!(out, "%{other}"),
        };
    }
}

/// As `2026-11-28 07:55`.
#[must_use]
pub fn short(seconds: u32) -> String {
    Date::new(u64::from(seconds)).format("%F %R", 0)
}

/// Seconds since 1970 of `@SECONDS`, `YYYY-MM-DD`, or `YYYY-MM-DD HH:MM[:SS]` (also with a T between).
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.parse().ok();
    }
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut parts = date.split('-').map(|p| p.parse::<u64>().ok());
    let (y, m, d) = (parts.next()??, parts.next()??, parts.next()??);
    let mut clock = time.trim_end_matches('Z').split(':').map(|p| p.parse::<u64>().ok());
    let (h, min, s) = (clock.next()??, clock.next()??, clock.next().unwrap_or(Some(0))?);
    let sane = (1970..=9999).contains(&y) && (1..=12).contains(&m) && (1..=31).contains(&d);
    if !sane || h > 23 || min > 59 || s > 59 || parts.next().is_some() {
        return None;
    }
    let leaps = |y: u64| y / 4 - y / 100 + y / 400;
    let days = (y - 1970) * 365 + leaps(y - 1) - leaps(1969)
        + Date { seconds: 0, year: y, month: m, day: d }.day_of_year()
        - 1;
    let seconds = days * 86400 + h * 3600 + min * 60 + s;
    // The 31st of a shorter month is no date.
    (Date::new(seconds).day == d).then_some(seconds)
}

/// A span for people, as uptime says it.
#[must_use]
pub fn span(seconds: u64) -> String {
    let (d, h, m) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    let days = match d {
        0 => String::new(),
        1 => "1 day, ".into(),
        d => format!("{d} days, "),
    };
    if h == 0 { format!("{days}{m} min") } else { format!("{days}{h:2}:{m:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for (text, seconds) in [
            ("1970-01-01 00:00:00", 0),
            ("2000-02-29 12:34:56", 951_827_696),
            ("2026-11-30 22:36:24", 1_796_078_184),
            ("2100-03-01 00:00:00", 4_107_542_400),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
            assert_eq!(Date::new(seconds).format("%F %T", 0), text);
        }
        for wrong in ["", "2026-02-30", "2026-13-01", "1960-01-01", "2026-11-30 25:00", "x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn formats_are_those_of_strftime() {
        let d = Date::new(951_827_696);
        assert_eq!(d.format(USUAL, 0), "Tue Feb 29 12:34:56 UTC 2000");
        assert_eq!(
            d.format("%A %B %j %u %w %I %p %y %C %% %Q %", 7),
            "Tuesday February 060 2 2 12 PM 00 20 % %Q %"
        );
    }
}
