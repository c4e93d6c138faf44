//! Colors, for a light and a dark background.
//!
//! Pictures are drawn in the light colors. A page replaces them by variables of its style sheet,
//! which have other values when the reader prefers a dark background.

/// A color of pictures: the name of its variable, and its values on a light and on a dark
/// background.
pub(crate) struct ThemeColor {
    pub name: &'static str,
    pub light: &'static str,
    pub dark: &'static str,
}

const fn color(name: &'static str, light: &'static str, dark: &'static str) -> ThemeColor {
    ThemeColor { name, light, dark }
}

/// The background of pictures.
pub(crate) const SURFACE: ThemeColor = color("surface", "#FCFCFB", "#1B1C1E");
/// Texts.
pub(crate) const INK: ThemeColor = color("ink", "#1C1D20", "#ECEDEE");
/// Labels and axes.
pub(crate) const MUTED: ThemeColor = color("muted", "#63656B", "#A3A6AD");
/// Lines of a grid, and borders.
pub(crate) const GRID: ThemeColor = color("grid", "#E4E4E1", "#34363A");
/// Boxes on the background.
pub(crate) const RAISED: ThemeColor = color("raised", "#F2F3F5", "#25272A");
/// Text on a cell of full color.
pub(crate) const ON_COLOR: ThemeColor = color("on-color", "#FEFEFE", "#FDFDFD");
/// Lines, in the order in which they are given to the series of a plot.
pub(crate) const SERIES: [ThemeColor; 10] = [
    color("s0", "#2A78D6", "#4B96EA"),
    color("s1", "#EB6834", "#F0824F"),
    color("s2", "#1BAF7A", "#2FC28D"),
    color("s3", "#B97A00", "#E0A526"),
    color("s4", "#D55181", "#E57FA6"),
    color("s5", "#4A3AA7", "#9A90F0"),
    color("s6", "#2E8B1E", "#62B653"),
    color("s7", "#D03B3B", "#EC7070"),
    color("s8", "#0E7C86", "#43B7C1"),
    color("s9", "#8A5A2B", "#C0925F"),
];

/// Returns all colors.
pub(crate) fn all_colors() -> impl Iterator<Item = &'static ThemeColor> {
    [&SURFACE, &INK, &MUTED, &GRID, &RAISED, &ON_COLOR].into_iter().chain(&SERIES)
}

/// Returns the color of a series.
pub(crate) fn series(index: usize) -> &'static ThemeColor {
    &SERIES[index % SERIES.len()]
}

/// Returns a picture in which the light colors are variables of the style sheet.
pub(crate) fn with_variables(svg: &str) -> String {
    let mut svg = svg.to_string();
    for color in all_colors() {
        svg = svg.replace(&format!("\"{}\"", color.light), &format!("\"var(--{})\"", color.name));
    }
    svg
}

/// Returns the definitions of the variables, for both backgrounds.
pub(crate) fn style_sheet() -> String {
    let values = |of: fn(&ThemeColor) -> &str| -> String {
        all_colors().map(|c| format!("--{}:{};", c.name, of(c))).collect()
    };
    let (light, dark) = (values(|c| c.light), values(|c| c.dark));
    format!(":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_light_color_belongs_to_one_variable() {
        let light: BTreeSet<&str> = all_colors().map(|c| c.light).collect();
        assert_eq!(light.len(), all_colors().count());
        assert!(light.iter().all(|c| c.len() == 7 && *c == c.to_uppercase()), "{light:?}");
    }

    #[test]
    fn texts_have_enough_contrast() {
        for (text, ground, least) in [(&INK, &SURFACE, 7.0), (&MUTED, &SURFACE, 4.5)] {
            for (a, b) in [(text.light, ground.light), (text.dark, ground.dark)] {
                assert!(contrast(a, b) >= least, "{} on {}: {}", a, b, contrast(a, b));
            }
        }
        for c in &SERIES {
            let worst = contrast(c.light, SURFACE.light).min(contrast(c.dark, SURFACE.dark));
            assert!(worst >= 2.5, "{}: {worst}", c.name);
        }
    }

    /// Returns the contrast by WCAG 2.1.
    fn contrast(a: &str, b: &str) -> f64 {
        let channel = |hex: &str| {
            let c = f64::from(u8::from_str_radix(hex, 16).unwrap()) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = |c: &str| {
            0.2126 * channel(&c[1..3]) + 0.7152 * channel(&c[3..5]) + 0.0722 * channel(&c[5..7])
        };
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        (a / b).max(b / a)
    }
}
