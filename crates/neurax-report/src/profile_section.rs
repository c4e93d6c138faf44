//! The time of a training step in a page: a flame graph and tables.

use crate::flame_graph::flame_graph;
use crate::text::{bytes, escape, nanoseconds, push};
use crate::theme::with_variables;
use crate::tuning::MAX_PROFILE_ROWS;
use neurax_train::{ProfileRecord, TimeShare};

/// Returns the section of a profile.
pub(crate) fn profile_section(profile: &ProfileRecord) -> String {
    let graph = match flame_graph("training step", &profile.folded) {
        Ok(svg) => format!("<div class=\"scroll\" tabindex=\"0\">{}</div>", with_variables(&svg)),
        Err(e) => format!("<p role=\"alert\">{}</p>", escape(&e.to_string())),
    };
    let total = profile.nanoseconds;
    let (time, calls) = (nanoseconds(total), profile.calls);
    let tables: String =
        [("Layer", &profile.by_layer), ("Op", &profile.by_op), ("Line", &profile.by_line)]
            .into_iter()
            .map(|(heading, rows)| share_table(heading, rows, total))
            .collect();
    format!(
        "<h2>Time of a training step</h2>\n<p>{time}, the mean of {calls} calls.</p>\n{graph}\n\
         <details><summary>Layers, ops and lines</summary>\n{tables}</details>\n"
    )
}

/// Returns the table of the longest shares of `total` nanoseconds.
fn share_table(heading: &str, rows: &[TimeShare], total: u64) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut html = format!(
        "<div class=\"scroll\" tabindex=\"0\"><table>\n<tr><th>{heading}</th>\
         <th class=\"n\">Time</th><th class=\"n\">Share</th><th class=\"n\">Read and written</th>\
         </tr>\n"
    );
    for row in rows.iter().take(MAX_PROFILE_ROWS) {
        let name = if row.name.is_empty() { "(outside of layers)" } else { &row.name };
        let share = 100.0 * row.nanoseconds as f64 / total.max(1) as f64;
        let (name, time, size) = (escape(name), nanoseconds(row.nanoseconds), bytes(row.bytes));
        push(
            &mut html,
            format_args!(
                "<tr><td>{name}</td><td class=\"n\">{time}</td><td class=\"n\">{share:.1} %</td>\
                 <td class=\"n\">{size}</td></tr>\n"
            ),
        );
    }
    html += "</table></div>\n";
    let more = rows.len().saturating_sub(MAX_PROFILE_ROWS);
    if more > 0 {
        push(&mut html, format_args!("<p>{more} more with less time are not shown.</p>\n"));
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(name: &str, nanoseconds: u64) -> TimeShare {
        TimeShare { name: name.into(), nanoseconds, bytes: 2_000_000 }
    }

    #[test]
    fn a_profile_is_a_flame_graph_and_tables_of_its_longest_shares() {
        let by_op: Vec<TimeShare> =
            (0..20).map(|i| share(&format!("op{i}"), 1000 - 10 * i)).collect();
        let profile = ProfileRecord {
            calls: 7,
            nanoseconds: 4000,
            folded: "dense;main.rs:7;dot 3000\n(no layer);main.rs:9;add 1000\n".into(),
            by_layer: vec![share("dense", 3000), share("", 1000)],
            by_op,
            by_line: vec![],
        };
        let html = profile_section(&profile);
        for text in [
            "4.0 µs, the mean of 7 calls",
            "<title>dot: 3.0 µs, 75.0 %</title>",
            "<td>dense</td><td class=\"n\">3.0 µs</td><td class=\"n\">75.0 %</td>",
            "(outside of layers)",
            "<td>op11</td>",
            "8 more with less time are not shown",
        ] {
            assert!(html.contains(text), "{text}: {html}");
        }
        assert!(!html.contains("<td>op12</td>") && !html.contains("#1C1D20"), "{html}");
    }

    #[test]
    fn a_damaged_profile_is_an_alert_and_its_names_are_no_markup() {
        let evil = "<script>";
        let profile = ProfileRecord {
            folded: format!("{evil} no number"),
            by_line: vec![share(evil, u64::MAX)],
            ..ProfileRecord::default()
        };
        let html = profile_section(&profile);
        assert!(html.contains("role=\"alert\"") && html.contains("in line 1"), "{html}");
        assert!(!html.contains(evil), "{html}");
    }
}
