use super::*;

fn lines(names: &[&str]) -> Plot {
    let line = |name: &&str| PlotLine::new(*name, vec![[0.0, 1.0], [1.0, 3.0], [2.0, 2.0]]);
    Plot::lines("loss", "epoch", names.iter().map(line).collect())
}

/// Returns the number of occurrences.
fn count(svg: &str, what: &str) -> usize {
    svg.matches(what).count()
}

#[test]
fn a_line_has_a_legend_points_and_labels() {
    let svg = lines(&["training", "validation"]).to_svg().unwrap();
    // The lines of the axes are thinner.
    let lines = svg.split('<').filter(|tag| tag.starts_with("polyline"));
    assert_eq!(lines.filter(|tag| tag.contains("stroke-width=\"2\"")).count(), 2);
    assert_eq!(count(&svg, "<circle"), 6);
    for text in [">training</text>", ">validation</text>", "epoch", "#2A78D6", "#EB6834"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
}

#[test]
fn a_logarithmic_axis_has_powers_of_ten_and_gaps_at_negative_numbers() {
    let points = vec![[0.0, 300.0], [1.0, -1.0], [2.0, 0.5], [3.0, 0.02], [4.0, 0.0]];
    let mut plot = Plot::lines("loss", "x", vec![PlotLine::new("a", points)]);
    if let PlotKind::Lines { scale, .. } = &mut plot.kind {
        *scale = PlotScale::Logarithmic;
    }
    let svg = plot.to_svg().unwrap();
    let texts: Vec<&str> =
        svg.split('>').map(|part| part.split('<').next().unwrap().trim()).collect();
    for label in ["0.01", "0.1", "1", "10", "100", "1,000"] {
        assert!(texts.contains(&label), "{label}: {svg}");
    }
    assert!(svg.contains("loss (logarithmic scale) over x"), "{svg}");
    assert_eq!(count(&svg, "<circle"), 4);
    if let PlotKind::Lines { lines, .. } = &mut plot.kind {
        lines[0].points = vec![[0.0, 300.0], [1.0, 1e-30]];
    }
    // Six powers of ten below the largest number, and no more.
    let svg = plot.to_svg().unwrap();
    assert!(svg.contains("1e-4") && !svg.contains("1e-5"), "{svg}");
    if let PlotKind::Lines { lines, .. } = &mut plot.kind {
        lines[0].points = vec![[0.0, -1.0]];
    }
    assert!(plot.to_svg().unwrap().ends_with("</svg>"));
}

#[test]
fn a_legend_of_several_rows_is_below_the_plot_and_makes_it_higher() {
    let height = |names: &[&str]| {
        let svg = lines(names).to_svg().unwrap();
        let last = svg.rfind("<polyline").unwrap();
        assert!(svg.find(&format!(">{}</text>", names[0])).unwrap() > last, "{svg}");
        svg.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(height(&["a", "b"]), 300);
    assert_eq!(height(&["the first class of all (area 0.99)"; 4]), 300 + 3 * 19);
}

#[test]
fn an_entry_of_the_legend_is_not_wider_than_the_plot() {
    let name = format!("training [{}.kernel]", "block.".repeat(20));
    let svg = lines(&[&name, "b"]).to_svg().unwrap();
    let whole = format!("<title>{name}</title>");
    let shown = svg.split(&whole).nth(1).unwrap().split('<').next().unwrap();
    assert!(shown.starts_with("training [block") && shown.ends_with(".kernel]"), "{shown}");
    assert!(shown.contains('…') && shown.chars().count() <= 460 / 7, "{shown}");
}

#[test]
fn user_text_is_escaped_in_every_place() {
    let evil = "</svg><script>alert(1)</script>";
    let heat = PlotKind::HeatMap {
        row_label: evil.into(),
        column_label: evil.into(),
        rows: vec![evil.into()],
        columns: vec![evil.into()],
        values: vec![vec![1.0]],
    };
    let plots =
        [Plot { title: evil.into(), ..lines(&[evil]) }, Plot { title: evil.into(), kind: heat }];
    let mut labelled = lines(&["a"]);
    if let PlotKind::Lines { x_label, y_label, .. } = &mut labelled.kind {
        (*x_label, *y_label) = (evil.into(), evil.into());
    }
    for plot in plots.into_iter().chain([labelled]) {
        let svg = plot.to_svg().unwrap();
        assert!(!svg.contains("<script"), "{svg}");
        assert_eq!(count(&svg, "</svg>"), 1);
    }
}

#[test]
fn numbers_that_are_not_finite_interrupt_a_line() {
    let points = vec![[0.0, 1.0], [1.0, f64::NAN], [2.0, 2.0], [3.0, 3.0]];
    let svg = Plot::lines("loss", "step", vec![PlotLine::new("a", points)]).to_svg().unwrap();
    assert!(!svg.contains("NaN"), "{svg}");
    assert_eq!(count(&svg, "<circle"), 3);
}

#[test]
fn empty_and_constant_lines_have_axes() {
    for points in [
        vec![],
        vec![[0.0, 0.0]],
        vec![[5.0, 2.0], [5.0, 2.0]],
        vec![[0.0, 1e300]],
        vec![[0.0, 0.0], [5e-324, 5e-324]],
        vec![[1e16, 1e16], [1e16 + 2.0, 1e16 + 2.0]],
    ] {
        let svg = Plot::lines("x", "y", vec![PlotLine::new("a", points)]).to_svg().unwrap();
        assert!(svg.ends_with("</svg>"));
    }
}

#[test]
fn all_colors_of_a_themed_plot_are_variables() {
    let plot = lines(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]);
    let svg = plot.to_themed_svg().unwrap();
    assert!(!svg.contains("\"#"), "{svg}");
    assert!(svg.contains("var(--s9)") && svg.contains("var(--grid)"));
}

#[test]
fn a_long_line_has_few_points() {
    let points = (0..100_000).map(|i| [f64::from(i), f64::from(i % 7)]).collect();
    let svg = Plot::lines("x", "y", vec![PlotLine::new("a", points)]).to_svg().unwrap();
    assert!(svg.len() < 60_000, "{}", svg.len());
    assert_eq!(count(&svg, "<circle"), 0);
}

#[test]
fn a_range_that_cannot_be_drawn_is_an_error() {
    let nan = f64::NAN;
    for x in [[nan, 1.0], [0.0, f64::INFINITY], [f64::MIN, f64::MAX], [1.0, 1.0], [2.0, 1.0]] {
        let mut plot = lines(&["a"]);
        if let PlotKind::Lines { range, .. } = &mut plot.kind {
            *range = Some([x, [0.0, 1.0]]);
        }
        let e = plot.to_svg().unwrap_err().to_string();
        assert!(e.contains("expected an axis of finite ends"), "{e}");
    }
    let points = vec![[0.0, f64::MIN], [1.0, f64::MAX]];
    assert!(Plot::lines("x", "y", vec![PlotLine::new("a", points)]).to_svg().is_err());
}

#[test]
fn peaks_and_gaps_of_a_long_line_remain() {
    let (mut high, mut gap) = (vec![[0.0, 0.0]; 10_000], vec![[0.0, 0.0]; 10_000]);
    (0..10_000).for_each(|i| (high[i][0], gap[i][0]) = (i as f64, i as f64));
    high[5003][1] = 7.0;
    gap[5003][1] = f64::NAN;
    let kept = super::lines::parts(&high);
    assert_eq!(kept.len(), 1);
    assert!(kept[0].contains(&[5003.0, 7.0]) && kept[0].len() < 1000, "{}", kept[0].len());
    assert_eq!((kept[0][0], kept[0].last()), ([0.0, 0.0], Some(&[9999.0, 0.0])));
    let ends: Vec<[f64; 2]> = super::lines::parts(&gap)
        .iter()
        .map(|part| [part[0][0], part[part.len() - 1][0]])
        .collect();
    assert_eq!(ends, [[0.0, 5002.0], [5004.0, 9999.0]]);
}

#[test]
fn epochs_have_whole_ticks() {
    let line = PlotLine::new("", vec![[1.0, 1.0], [3.0, 2.0]]);
    let texts = |label: &str| {
        let svg = Plot::lines("x", label, vec![line.clone()]).to_svg().unwrap();
        let bottom = svg.split("<text").filter(|text| text.contains("text-anchor=\"middle\""));
        bottom.filter(|text| text.contains("1.5\n") || text.contains(">1.5<")).count()
    };
    assert_eq!((texts("epoch"), texts("time")), (0, 1));
}

#[test]
fn a_cell_that_is_no_number_says_so() {
    let values = vec![vec![f64::NAN, 2.0]];
    let (rows, columns) = (vec!["a".into()], vec!["a".into(), "b".into()]);
    let (row_label, column_label) = ("rows".into(), "columns".into());
    let kind = PlotKind::HeatMap { row_label, column_label, rows, columns, values };
    let svg = Plot { title: "map".into(), kind }.to_svg().unwrap();
    assert!(svg.contains(">NaN</text>") && !svg.contains("\"NaN\""), "{svg}");
}

#[test]
fn names_of_files_are_plain() {
    let name = |title: &str| Plot::lines(title, "x", vec![]).file_name();
    assert_eq!(name("val/Loss: 1 \\ ..").as_str(), "val-loss-1");
    assert_eq!(name("../.."), "plot");
}
