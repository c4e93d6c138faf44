//! Tests of the reader of CSV files.

use super::*;
use crate::is_affordable;
use crate::tuning::{MAX_CSV_RECORD_BYTES, MAX_ONE_HOT_CLASSES};

fn file(name: &str, text: &[u8]) -> Csv {
    let path = std::env::temp_dir().join(format!("neurax-csv-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    csv(path)
}

fn error(r: Result<Dataset>) -> String {
    r.unwrap_err().to_string()
}

#[test]
fn options() {
    let d = file("semi", b"1;2;30\n4;5;60\n")
        .header(false)
        .delimiter(b';')
        .targets(["2", "0"])
        .read()
        .unwrap();
    assert_eq!(d.x.to_vec::<f32>().unwrap(), [2.0, 5.0]);
    assert_eq!(d.y.to_vec::<f32>().unwrap(), [30.0, 1.0, 60.0, 4.0]);
    let t = file("table", b"a, b\n1, 2\n").table().unwrap();
    assert_eq!(t.names, ["a", "b"]);
    assert_eq!(t.values.shape(), [1, 2]);
}

#[test]
fn numeric_classes_are_in_numerical_order() {
    let d = file("classes", b"a,c\n0,10\n0,9\n0,10\n").classes("c").read().unwrap();
    assert_eq!(d.y.to_vec::<f32>().unwrap(), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn too_many_classes_are_an_error() {
    let rows: String = (0..MAX_ONE_HOT_CLASSES + 1).map(|i| format!("0,n{i}\n")).collect();
    let e = error(file("many", format!("a,c\n{rows}").as_bytes()).classes("c").read());
    assert!(e.contains("column `c` holds more than 10000 distinct names"), "{e}");
    // 27,000 lines of a few bytes each take more than 1 GiB as one-hot rows.
    let rows: String = (0..27_000).map(|i| format!("0,{}\n", i % MAX_ONE_HOT_CLASSES)).collect();
    let e = error(file("cells", format!("a,c\n{rows}").as_bytes()).classes("c").read());
    assert!(e.contains("10000 distinct names in 27000 lines are too many classes"), "{e}");
    assert!(is_affordable(1_000_000, 100) && !is_affordable(1_000_000, 1000));
}

#[test]
fn the_one_hot_columns_of_all_columns_are_counted() {
    // Each of the columns alone takes less than 1 GiB.
    let rows: String = (0..20_000).map(|i| format!("{},{},1\n", i % 9000, i % 8999)).collect();
    let f = file("columns", format!("a,b,y\n{rows}").as_bytes()).categories(["a", "b"]);
    let e = error(f.target("y").read());
    assert!(e.contains("17999 distinct names in 20000 lines are too many classes"), "{e}");
    // Known names: the number of lines is not known before they are read.
    let f = file("known-columns", b"a,y\nn1,1\n");
    let layout = f.known_categories("a", (0..1 << 20).map(|i| format!("n{i}"))).layout(false);
    let layout = layout.unwrap();
    let source = CsvFile { path: "f".into(), header: true, delimiter: b',' };
    assert!(layout.check_size(&source, 256).is_ok() && layout.check_size(&source, 257).is_err());
}

#[test]
fn known_names_are_distinct_and_not_empty() {
    let f = file("distinct", b"k,v\nb,1\na,2\n").empty_texts(["NA"]);
    for (names, why) in [
        (["a", "b", "a"], "column `k`: expected each known name once, got `a`"),
        (["a", "", "b"], "do not stand for an empty cell, got ``"),
        (["a", "NA", "b"], "do not stand for an empty cell, got `NA`"),
    ] {
        let e = error(f.clone().known_classes("k", names).read());
        assert!(e.contains(why), "{e}");
        let e = error(f.clone().known_categories("k", names).target("v").read());
        assert!(e.contains(why), "{e}");
    }
}

#[test]
fn options_of_columns_that_are_not_read_are_errors() {
    let f = file("unread", b"a,b,y\n1,2,3\n");
    for bad in [
        f.clone().categories(["a"]).skip(["a"]).target("y"),
        f.clone().categories(["a"]).select(["b"]).target("y"),
        f.clone().categories(["y"]).target("y"),
    ] {
        let e = error(bad.read());
        assert!(e.contains("holds categories, but is no input"), "{e}");
    }
    let e = error(f.clone().categories(["z"]).target("y").read());
    assert!(e.contains("expected one of the columns a, b, y, got `z`"), "{e}");
    let e = error(f.clone().categories(["a"]).known_categories(0, ["1"]).target("y").read());
    assert!(e.contains("expected categories once for a column, got column 0 twice"), "{e}");
    let e = error(f.skip(["y"]).target("y").read());
    assert!(e.ends_with("column `y` is skipped and is a target"), "{e}");
}

#[test]
fn columns_of_one_name_are_read_by_number() {
    let f = file("twice", b"a,b,a\n1,2,3\n");
    for bad in [f.clone().target("a"), f.clone().target("b"), f.clone().skip(["a"]).target("b")] {
        let e = error(bad.read());
        assert!(e.contains("the columns 0 and 2 are both called `a`; rename one"), "{e}");
    }
    let set = f.skip([0]).target(1).read().unwrap();
    assert_eq!(set.x.to_vec::<f32>().unwrap(), [3.0]);
}

#[test]
fn a_file_whose_columns_change_is_an_error() {
    let f = file("shrinks", b"a,b,y\n1,2,3\n").target("y");
    let stream = f.stream(1);
    assert!(stream.epoch(0).next().unwrap().is_ok());
    let _ = file("shrinks", b"a,b\n1,2\n");
    let e = stream.epoch(1).next().unwrap().unwrap_err().to_string();
    assert!(e.ends_with("the columns changed meanwhile: expected a, b, y, got a, b"), "{e}");
}

#[test]
fn numbers_that_are_not_finite_are_left_out_of_means() {
    let f = file("finite", b"a,y\n1,0\n,0\n3,0\nnan,0\ninf,0\n").empty(EmptyCells::Mean);
    let x = f.target("y").read().unwrap().x.to_vec::<f32>().unwrap();
    assert_eq!(x[..3], [1.0, 2.0, 3.0]);
}

#[test]
fn a_line_without_end_is_an_error() {
    let mut text = b"a,b\n1,2\n1,".to_vec();
    text.resize(MAX_CSV_RECORD_BYTES + (1 << 20), b'1');
    let e = error(file("endless", &text).target("b").read());
    assert!(e.ends_with("line 3: expected lines of at most 16777216 bytes"), "{e}");
}

#[test]
fn columns_and_classes_are_those_of_their_rows() {
    let d = file("order", b"k,v\nb,1\na,2\nc,3\na,4\n").classes("k").read().unwrap();
    assert_eq!(d.x.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
    let classes = d.y.argmax(-1).to_vec::<i32>().unwrap();
    assert_eq!(classes, [1, 0, 2, 0]);
    assert_eq!(d.y.shape(), [4, 3]);
}

#[test]
fn nan_and_infinity_are_numbers() {
    let x = file("nan", b"a,b\nnan,-inf\nNaN,Infinity\n")
        .table()
        .unwrap()
        .values
        .to_vec::<f32>()
        .unwrap();
    assert!(x[0].is_nan() && x[2].is_nan());
    assert_eq!((x[1], x[3]), (f32::NEG_INFINITY, f32::INFINITY));
}

#[test]
fn a_file_with_only_a_header_has_no_rows() {
    assert_eq!(file("none", b"a,b\n").target("b").read().unwrap().x.shape(), [0, 1]);
}

#[test]
fn malformed_files_name_line_and_column() {
    assert!(error(file("empty", b"").target("a").read()).ends_with("the file is empty"));
    assert!(
        error(file("ragged", b"a,b\n1,2\n3\n").target("a").read())
            .ends_with("line 3: expected 2 columns, as in the first line, got 1")
    );
    assert!(
        error(file("word", b"a,b\n1,2\n\nx,4\n").target("b").read())
            .contains("line 4, column `a`: expected a number, got `x`; `skip` columns that")
    );
    let big = error(file("big", b"a,b\n1,2\n-1e39,4\n").target("b").read());
    let want = "line 3, column `a`: expected a number in the range of f32, got `-1e39`";
    assert!(big.ends_with(want), "{big}");
    assert!(
        error(file("column", b"a,b\n1,2\n").target("z").read())
            .ends_with("expected one of the columns a, b, got `z`")
    );
    assert!(error(file("target", b"a,b\n1,2\n").read()).contains("name the column to predict"));
    let e = error(file("utf8", b"a,b\n\n1,\xff\n").target("b").read());
    assert!(e.ends_with(
        "line 3, column `b`: expected UTF-8, got another byte at offset 0 of the field"
    ));
    assert!(error(csv("/no/such/file.csv").target("b").read()).contains("/no/such/file.csv"));
}

#[test]
fn the_first_lines_are_checked_before_the_rest_is_read() {
    let f = file("first", b"a,b,c,y\n1,x,1,2\n1,2,,2\n1,z,5,2\n");
    let e = error(f.clone().target("y").read());
    let want = "line 2, column `b`: expected a number, got `x`; \
                line 3, column `c`: expected a number, got ``; `skip` columns";
    assert!(e.contains(want), "{e}");
    let set = f.skip(["b"]).skip([2]).target("y").read().unwrap();
    assert_eq!(set.x.to_vec::<f32>().unwrap(), [1.0; 3]);
}

#[test]
fn columns_are_selected_by_name_and_number() {
    let f = file("select", b"a,b,c\n1,2,3\n");
    let names = |f: Csv| f.table().unwrap().names;
    assert_eq!(names(f.clone().select(["c", "a"])), ["c", "a"]);
    assert_eq!(names(f.clone().select([2, 1]).skip(["b"])), ["c"]);
    let e = error(f.clone().select(["c"]).target("c").read());
    assert!(e.ends_with("column `c` is selected as an input and is a target"), "{e}");
    let e = f.skip([3]).table().unwrap_err().to_string();
    assert!(e.ends_with("expected one of the columns a, b, c, got column 3"), "{e}");
}

#[test]
fn known_names_have_their_order_and_others_are_errors() {
    let f = file("known", b"k,v\nb,1\na,2\n");
    let set = f.clone().known_classes("k", ["b", "c", "a"]).read().unwrap();
    assert_eq!(set.y.to_vec::<f32>().unwrap(), [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    let e = error(f.known_categories("k", ["b"]).target("v").read());
    assert!(e.ends_with("line 3, column `k`: expected one of the names b, got `a`"), "{e}");
}

#[test]
fn empty_cells_follow_the_rule_and_empty_targets_are_errors() {
    let f = file("cells", b"n,k,y\n1,red,0\n,,1\n5,NA,0\n");
    let f = f.categories(["k"]).empty_texts(["NA"]);
    let set = f.clone().empty(EmptyCells::Mean).target("y").read().unwrap();
    assert_eq!(set.x.to_vec::<f32>().unwrap(), [1.0, 1.0, 3.0, 0.0, 5.0, 0.0]);
    let set = f.clone().empty(EmptyCells::Value(-1.0)).target("y").read().unwrap();
    assert_eq!(set.x.to_vec::<f32>().unwrap(), [1.0, 1.0, -1.0, 0.0, 5.0, 0.0]);
    let e = error(f.clone().target("y").read());
    assert!(e.contains("line 3, column `n`: expected a number, got ``; line 3, column `k`"));
    let e = error(f.empty(EmptyCells::Mean).target("n").read());
    assert!(e.contains("line 3, column `n`: expected a number, got ``"), "{e}");
    let f = file("nomean", b"a,y\n,1\n").empty(EmptyCells::Mean);
    assert!(
        error(f.target("y").read()).contains("expected at least one finite number, for the mean")
    );
}

#[test]
fn a_stream_has_the_numbers_of_the_whole_and_starts_anywhere() {
    let rows: String = (0..25).map(|i| format!("{i},{},c{}\n", i * i, i % 3)).collect();
    let f = file("stream", format!("a,b,k\n{rows}").as_bytes()).classes("k");
    let set = f.read().unwrap();
    let stream = f.stream(4);
    let x = |first| -> Vec<f32> {
        let batches = stream.prefetch(2).epoch_from(1, first);
        batches.flat_map(|b| b.unwrap().x.to_vec::<f32>().unwrap()).collect()
    };
    let want = set.x.to_vec::<f32>().unwrap();
    assert_eq!(x(0), want);
    assert_eq!(x(5), want[5 * 4 * 2..]);
    assert!(x(7).is_empty());
    let last = stream.epoch_from(0, 6).next().unwrap().unwrap();
    assert_eq!(last.y.to_vec::<f32>().unwrap(), [1.0, 0.0, 0.0]);
}

#[test]
fn an_error_in_a_stream_is_in_its_batch() {
    let rows: String = (0..300).map(|i| if i == 250 { "x\n" } else { "1\n" }).collect();
    let f = file("late", format!("a\n{rows}").as_bytes()).target("a");
    let items: Vec<_> = f.stream(100).prefetch(2).epoch(0).collect();
    assert_eq!(items.len(), 3);
    let e = items[2].as_ref().unwrap_err().to_string();
    assert!(e.contains("line 252, column `a`: expected a number, got `x`"), "{e}");
    assert!(f.stream(0).epoch(0).next().unwrap().is_err());
}

#[test]
fn a_quote_that_is_not_closed_is_named_with_its_line() {
    let why = ": expected the end of a quoted text, whose quote is not closed";
    for (name, text, line) in [
        ("first", "a,b,c\n1,2,3\n\"x,5,6\n7,8,9\n", 3),
        ("last", "a,b,c\n1,2,\"3\n4,5,6", 2),
        ("header", "a,\"b,c\n1,2,3\n", 1),
        // The quoted text of two lines is closed.
        ("second", "a,b,c\n\"1\n0\",\"2,3\n4,5,6\n", 3),
    ] {
        let csv = file(&format!("quote-{name}"), text.as_bytes()).categories(["a"]);
        let e = csv.table().unwrap_err().to_string();
        assert!(e.ends_with(&format!("line {line}{why}")), "{name}: {e}");
        assert!(csv.texts(0).unwrap_err().to_string().ends_with(why), "{name}");
    }
    let tall = file("tall", b"a,b\n\"6\"\" tall\",1\n5\" tall,2\n");
    assert_eq!(tall.texts("a").unwrap(), ["6\" tall", "5\" tall"]);
    let text = format!("a,b\n1,2\n\"{}", "x".repeat(2 * MAX_CSV_RECORD_BYTES));
    let e = error(file("quote-long", text.as_bytes()).target("b").read());
    assert!(e.ends_with(&format!("line 3{why}")), "{e}");
}

#[test]
fn another_delimiter_is_suggested() {
    let f = file("semicolons", b"x;y\n1;2\n");
    let hint = "; if `;` separates the columns, set `.delimiter(b';')`";
    for e in [error(f.clone().target("y").read()), f.table().unwrap_err().to_string()] {
        assert!(e.ends_with(hint), "{e}");
    }
    let e = error(f.delimiter(b'|').target("y").read());
    assert!(e.ends_with(&format!("expected one of the columns x;y, got `y`{hint}")), "{e}");
    let e = file("tabs", b"x\ty\n1,5\t2\n").table().unwrap_err().to_string();
    assert!(e.ends_with("got 2; if `\\t` separates the columns, set `.delimiter(b'\\t')`"), "{e}");
    let e = error(file("commas", b"x;y,z\n1,2\n").target("y").read());
    assert!(e.ends_with("got `y`"), "{e}");
}

#[test]
fn a_long_field_is_shown_in_part() {
    let f = file("long-field", format!("a\n{}\n", "word ".repeat(1000)).as_bytes());
    let e = f.table().unwrap_err().to_string();
    let want = format!("got `{}..`", "word ".repeat(12));
    assert!(e.contains(&want), "{e}");
}

#[test]
fn an_empty_line_of_a_file_of_one_column_is_an_empty_cell() {
    for (name, text, want) in [
        ("between", "a\n1\n\n3", vec![1.0, -1.0, 3.0]),
        ("last", "a\n1\n3\n\n\n", vec![1.0, 3.0, -1.0, -1.0]),
        ("first", "\n\na\n\n1\n", vec![-1.0, 1.0]),
        ("returns", "a\r\n\r\n1\r\n\r\n\r\n\"3\"\r\n", vec![-1.0, 1.0, -1.0, -1.0, 3.0]),
        ("old", "a\r1\r\r3\r", vec![1.0, -1.0, 3.0]),
        ("bom", "\u{feff}a\n\n\"\"\n \n1", vec![-1.0, -1.0, -1.0, 1.0]),
        ("none", "a\n", vec![]),
    ] {
        let csv = file(&format!("single-{name}"), text.as_bytes());
        let values = csv.clone().empty(EmptyCells::Value(-1.0)).table().unwrap().values;
        assert_eq!(values.to_vec::<f32>().unwrap(), want, "{name}");
        let texts = csv.texts("a").unwrap();
        let is_same = |(text, x): (&String, &f32)| text.parse().unwrap_or(-1.0f32) == *x;
        assert!(texts.len() == want.len() && texts.iter().zip(&want).all(is_same), "{texts:?}");
    }
    let numbers = |text: &str| {
        let csv = file("single-header", text.as_bytes()).header(false);
        csv.empty(EmptyCells::Value(-1.0)).table().unwrap().values.to_vec::<f32>().unwrap()
    };
    assert_eq!(numbers("\n1\n\n2\n"), [-1.0, 1.0, -1.0, 2.0]);
    assert_eq!(numbers("\u{feff}\r\n1\r\n"), [-1.0, 1.0]);
}

#[test]
fn the_error_of_an_empty_line_names_it() {
    let csv = file("single-error", b"a\n\"1\"\n\n\n4\nx\n");
    let e = csv.table().unwrap_err().to_string();
    assert!(e.contains("line 3, column `a`: expected a number, got ``"), "{e}");
    let e = csv.clone().empty(EmptyCells::Value(0.0)).table().unwrap_err().to_string();
    assert!(e.contains("line 6, column `a`: expected a number, got `x`"), "{e}");
    let e = file("single-width", b"a\n1\n\n3,4\n").texts("a").unwrap_err().to_string();
    assert!(e.ends_with("line 4: expected 1 columns, as in the first line, got 2"), "{e}");
    // Empty lines of several columns are no rows.
    let table = file("several", b"a,b\n\n1,2\n\n\n3,4\n\n").table().unwrap();
    assert_eq!(table.values.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn a_byte_order_mark_quotes_and_returns_are_read_together() {
    let text = "\u{feff}\"name\",\"size, cm\"\r\n\"a \"\"b\"\"\",\"1,5\"\r\n\"c\r\nd\",2\r\n\r\n";
    let csv = file("bom-quotes", text.as_bytes()).skip(["name"]);
    assert_eq!(csv.texts("name").unwrap(), ["a \"b\"", "c\r\nd"]);
    assert_eq!(csv.texts("size, cm").unwrap(), ["1,5", "2"]);
    let e = csv.table().unwrap_err().to_string();
    assert!(e.contains("line 2, column `size, cm`: expected a number, got `1,5`"), "{e}");
    let csv = file("bom-open", "\u{feff}\"a,b\r\n1,2\r\n".as_bytes());
    let e = csv.table().unwrap_err().to_string();
    assert!(e.contains("line 1: expected the end of a quoted text"), "{e}");
}
