//! Text of pages and pictures: escaping and numbers.

use std::fmt::Write;

/// The largest time that is shown, at the end of the year 9999, and the least one with `-`.
const MAX_TIME: f64 = 253_402_300_800.0;
/// The mean width of a letter of 12 pixels, in pixels.
pub(crate) const LETTER_WIDTH: f64 = 6.6;
/// The text of what is left out.
const LEFT_OUT: &str = "…";

/// Returns a text of at most `letters`: the start of a longer one.
pub(crate) fn start_of(text: &str, letters: usize) -> String {
    match text.chars().count() <= letters {
        true => text.into(),
        false => {
            let start: String = text.chars().take(letters.saturating_sub(1).max(1)).collect();
            start + LEFT_OUT
        }
    }
}

/// Returns a text of at most `letters`: the end of a longer one.
pub(crate) fn end_of(text: &str, letters: usize) -> String {
    let all = text.chars().count();
    match all <= letters {
        true => text.into(),
        false => LEFT_OUT.chars().chain(text.chars().skip(all + 1 - letters)).collect(),
    }
}

/// Returns a text of at most `letters`: the start and the end of a longer one.
pub(crate) fn ends_of(text: &str, letters: usize) -> String {
    let all = text.chars().count();
    if all <= letters {
        return text.into();
    }
    let kept = letters.saturating_sub(1);
    let (start, end) = (kept.div_ceil(2), kept / 2);
    text.chars().take(start).chain(LEFT_OUT.chars()).chain(text.chars().skip(all - end)).collect()
}

/// Returns a command as it is typed in a shell: arguments with other characters are quoted.
///
/// # Examples
///
/// ```
/// let command = ["train", "--name", "a b"].map(String::from);
/// assert_eq!(neurax_report::shell_command(&command), "train --name 'a b'");
/// ```
pub fn shell_command(arguments: &[String]) -> String {
    let quoted = |argument: &String| {
        let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
        match !argument.is_empty() && argument.chars().all(is_plain) {
            true => argument.clone(),
            false => format!("'{}'", argument.replace('\'', r"'\''")),
        }
    };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Returns a text with the characters that HTML and SVG read as markup replaced.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML has no other control characters.
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Formats a number with about four digits: `0.0312`, `1,234`, `1.20e-5`.
pub(crate) fn number(x: f64) -> String {
    match x.abs() {
        _ if !x.is_finite() => x.to_string(),
        0.0 => "0".into(),
        a if !(1e-3..1e9).contains(&a) => format!("{x:.2e}"),
        a if x.fract() == 0.0 || a >= 1e4 => grouped(x),
        a if a >= 100.0 => format!("{x:.1}"),
        a if a >= 1.0 => format!("{x:.3}"),
        _ => format!("{x:.4}"),
    }
}

/// Formats the label of a tick, for which there is little space: `0.5`, `20k`, `1.5M`, `1e-4`. It
/// has enough digits to differ from a tick at `distance`.
pub(crate) fn tick(x: f64, distance: f64) -> String {
    let size = x.abs();
    if size < distance * 1e-6 {
        return "0".into();
    }
    let units = [(1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")];
    // If ticks are at least 2e-4 apart, numbers down to 1e-4 are decimals, so that an axis has one
    // notation.
    let least = if distance >= 2e-4 { 1e-4 } else { 1e-3 };
    match units.into_iter().find(|(from, ..)| size >= *from) {
        _ if !(least..1e12).contains(&size) => {
            let text = format!("{x:.*e}", decimals(distance / size));
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            format!("{}e{exponent}", without_zeros(digits))
        }
        Some((_, unit, name)) => {
            format!("{}{name}", without_zeros(&fixed(x / unit, distance / unit)))
        }
        None if x.fract() == 0.0 => grouped(x),
        None => without_zeros(&fixed(x, distance)).into(),
    }
}

/// Formats a number with the decimals that tell it from one at `distance`.
fn fixed(x: f64, distance: f64) -> String {
    format!("{x:.*}", decimals(distance))
}

/// Returns the number of decimals of which `distance` changes the last but one.
fn decimals(distance: f64) -> usize {
    // A cast of Rust, which saturates.
    ((1.0 - distance.log10().floor()).clamp(0.0, 12.0)) as usize
}

/// Formats an integer with its thousands grouped: `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number of bytes: `38.4 KB`.
pub(crate) fn bytes(n: u64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "KB")];
    match units.into_iter().find(|(size, _)| n as f64 >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", n as f64 / size),
        None => format!("{n} B"),
    }
}

/// Formats a number of nanoseconds: `12.3 µs`.
pub(crate) fn nanoseconds(n: u64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    match units.into_iter().find(|(size, _)| n as f64 >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", n as f64 / size),
        None => format!("{n} ns"),
    }
}

/// Formats a duration in the two largest units that it has: `1 h 5 min`, `12.3 s`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 if seconds < 1.0 => format!("{:.0} ms", seconds.max(0.0) * 1e3),
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86400, whole % 86400 / 3600),
    }
}

/// Formats a time in seconds since 1970 as a date in UTC: `2026-11-30 11:47 UTC`. A time beyond the
/// year 9999, of a damaged file, is unknown.
pub(crate) fn date(time: f64) -> String {
    if !(-MAX_TIME..MAX_TIME).contains(&time) {
        return "at an unknown time".into();
    }
    let (days, seconds) = ((time / 86400.0).floor() as i64, time.rem_euclid(86400.0) as u64);
    // The algorithm `civil_from_days` of Howard Hinnant: years begin in March, so that a leap day
    // is the last one.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// Appends formatted text. Writing to a `String` cannot fail.
pub(crate) fn push(to: &mut String, text: std::fmt::Arguments) {
    let _ = to.write_fmt(text);
}

fn grouped(x: f64) -> String {
    let sign = if x < 0.0 { "-" } else { "" };
    format!("{sign}{}", count(x.abs().round() as u64))
}

fn without_zeros(digits: &str) -> &str {
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escape("<b a='1'>\"&\u{1}\n"), "&lt;b a=&#39;1&#39;&gt;&quot;&amp;\u{fffd}\n");
    }

    #[test]
    fn numbers_have_about_four_digits() {
        let all = [0.0, 0.03124, 1.5, 12.0, 123.456, 1234567.0, -25000.4, 1.2e-5, f64::NAN];
        let want =
            ["0", "0.0312", "1.500", "12", "123.5", "1,234,567", "-25,000", "1.20e-5", "NaN"];
        assert_eq!(all.map(number), want);
        assert_eq!([0, 999, 38440].map(bytes), ["0 B", "999 B", "38.4 KB"]);
    }

    #[test]
    fn ticks_differ_from_their_neighbours() {
        let texts = |ticks: [f64; 3]| ticks.map(|x| tick(x, (ticks[1] - ticks[0]) / 2.0));
        assert_eq!(texts([0.0, 0.5, 1.0]), ["0", "0.5", "1"]);
        assert_eq!(texts([9e3, 1e4, 11e3]), ["9,000", "10k", "11k"]);
        assert_eq!(texts([2.5e6, 3e6, 3.5e6]), ["2.5M", "3M", "3.5M"]);
        assert_eq!(texts([-4e9, -3e9, -2e9]), ["-4G", "-3G", "-2G"]);
        assert_eq!(texts([1e-4, 2e-4, 3e-4]), ["1e-4", "2e-4", "3e-4"]);
        assert_eq!(texts([5e-4, 1e-3, 1.5e-3]), ["0.0005", "0.001", "0.0015"]);
        assert_eq!(texts([0.50001, 0.50002, 0.50003]), ["0.50001", "0.50002", "0.50003"]);
        assert_eq!(texts([1.00005e6, 1.0001e6, 1.00015e6]), ["1.00005M", "1.0001M", "1.00015M"]);
        assert_eq!(tick(1e-17, 0.2), "0");
    }

    #[test]
    fn commands_are_quoted() {
        let command = ["train", "--name=a b", "it's", "", "***"].map(str::to_string);
        assert_eq!(shell_command(&command), r"train '--name=a b' 'it'\''s' '' '***'");
    }

    #[test]
    fn long_texts_are_shortened() {
        assert_eq!((start_of("abcdef", 4), end_of("abcdef", 4)), ("abc…".into(), "…def".into()));
        assert_eq!((start_of("abc", 4), end_of("abc", 4)), ("abc".into(), "abc".into()));
        assert_eq!(["abcdef", "abcde", "abcd"].map(|x| ends_of(x, 5)), ["ab…ef", "abcde", "abcd"]);
        assert_eq!((ends_of("abc", 2), ends_of("abc", 1)), ("a…".into(), "…".into()));
    }

    #[test]
    fn dates_and_durations() {
        for odd in [1e300, -1e300, f64::INFINITY, f64::NAN] {
            assert_eq!(date(odd), "at an unknown time");
        }
        assert_eq!(date(0.0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400.0), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_796_039_228.9), "2026-11-30 11:47 UTC");
        let all = [0.0123, 12.34, 61.0, 3900.0, 180_000.0].map(duration);
        assert_eq!(all, ["12 ms", "12.3 s", "1 min 1 s", "1 h 5 min", "2 d 2 h"]);
    }
}
