use super::*;
use crate::watch::eta;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::fs;
use std::path::Path;

/// Returns the picture of a terminal as text.
fn picture(dashboard: &Dashboard, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, dashboard)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
    cells.chunks(width.into()).map(|row| row.concat() + "\n").collect()
}

fn directory(name: &str) -> PathBuf {
    let directory =
        std::env::temp_dir().join(format!("neurax-watch-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    directory
}

/// Trains in a directory for some epochs of 6 steps.
fn train_in(directory: &Path, epoch_count: usize) {
    let iris = data::iris().unwrap().split(0.8, key(0));
    let model = nn::input("flower", dims![_, 4]).dense(3).softmax();
    Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01))
        .metric(metric::accuracy())
        .validate(&iris.test)
        .record(train::RunDirectory::new(directory).every_steps(2))
        .quiet()
        .resume_or_run(directory, &iris.train.batched(20), epochs(epoch_count))
        .unwrap();
}

#[test]
fn a_run_that_starts_later_is_followed() {
    let directory = directory("later");
    let mut dashboard = Dashboard::new(directory.clone());
    dashboard.refresh();
    let before = picture(&dashboard, 100, 30);
    assert!(before.contains("waiting for the run to start"), "{before}");
    assert!(before.contains("no scores yet"), "{before}");

    train_in(&directory, 2);
    dashboard.refresh();
    let first = picture(&dashboard, 100, 30);
    for text in ["completed", "step 12 of 12", " accuracy", " loss", "epoch    2", "val loss"] {
        assert!(first.contains(text), "{text}: {first}");
    }

    train_in(&directory, 4);
    dashboard.refresh();
    let grown = picture(&dashboard, 100, 30);
    assert!(grown.contains("step 24 of 24") && grown.contains("epoch    4"), "{grown}");
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_description_that_cannot_be_read_is_a_problem() {
    let directory = directory("unreadable");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("run.json"), "{").unwrap();
    let mut dashboard = Dashboard::new(directory.clone());
    dashboard.refresh();
    let shown = picture(&dashboard, 160, 30);
    assert!(shown.contains("run.json cannot be read"), "{shown}");
    assert!(shown.contains("expected a file `neurax-run`"), "{shown}");
    assert!(!shown.contains("waiting"), "{shown}");
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn arrows_choose_charts_and_small_terminals_are_drawn() {
    let directory = directory("keys");
    train_in(&directory, 2);
    let mut dashboard = Dashboard::new(directory.clone());
    dashboard.refresh();
    let n = dashboard.plots.len();
    assert!(n >= 4, "{n}");
    dashboard.press(DashboardKey::Previous);
    assert_eq!(dashboard.chosen, n - 1);
    dashboard.press(DashboardKey::Next);
    dashboard.press(DashboardKey::Next);
    let title = format!(" {} ", dashboard.plots[1].title);
    assert!(picture(&dashboard, 120, 40).contains(&title));
    for (width, height) in [(20, 8), (1, 1), (60, 24), (300, 80)] {
        picture(&dashboard, width, height);
    }
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_lines_of_a_small_chart_are_named_and_its_epochs_are_whole() {
    let directory = directory("legend");
    train_in(&directory, 4);
    let mut dashboard = Dashboard::new(directory.clone());
    dashboard.refresh();
    fs::remove_dir_all(&directory).unwrap();
    dashboard.chosen = dashboard.plots.iter().position(|plot| plot.title == "accuracy").unwrap();
    // Two charts of 4 rows each.
    let shown = picture(&dashboard, 80, 22);
    let title = shown.lines().find(|line| line.contains(" accuracy ")).unwrap();
    assert!(title.contains(" training ") && title.contains(" validation "), "{shown}");
    let whole = picture(&dashboard, 80, 60);
    assert!(!whole.contains("2.5000"), "epochs 1 to 4: {whole}");
}

#[test]
fn a_first_loss_that_flattens_the_others_makes_a_chart_logarithmic() {
    // A loss of 100 is at the end of the axis, without a decade above it.
    for first in [90.0, 100.0] {
        let directory = directory("scale");
        fs::create_dir_all(&directory).unwrap();
        let line = |i: usize| {
            let loss = if i == 0 { first } else { 1.0 - 0.01 * i as f64 };
            format!(
                "{{\"event\":\"epoch\",\"epoch\":{i},\"step\":{i},\"time\":0,\
                 \"train\":{{\"loss\":{loss:?}}}}}\n"
            )
        };
        fs::write(directory.join("metrics.jsonl"), (0..60).map(line).collect::<String>()).unwrap();
        let mut dashboard = Dashboard::new(directory.clone());
        dashboard.refresh();
        fs::remove_dir_all(&directory).unwrap();
        let shown = picture(&dashboard, 80, 40);
        assert!(shown.contains(" loss (logarithmic scale) training 0.4100 "), "{shown}");
        // Powers of ten at the ends of the axis, and the losses below 1 in more than one row.
        assert!(shown.contains("│100   │") && shown.contains("│0.1000│"), "{shown}");
        let is_drawn = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
        let rows = shown.lines().filter(|row| row.chars().skip(20).any(is_drawn)).count();
        assert!(rows >= 3, "{rows}: {shown}");
    }
}

#[test]
fn a_damaged_log_is_shown_with_its_problem() {
    let directory = directory("damaged");
    train_in(&directory, 1);
    let log = directory.join("metrics.jsonl");
    fs::write(&log, fs::read_to_string(&log).unwrap() + "{broken\n").unwrap();
    let mut dashboard = Dashboard::new(directory.clone());
    dashboard.refresh();
    let picture = picture(&dashboard, 220, 40);
    assert!(picture.contains("metrics.jsonl: line 5 is damaged"), "{picture}");
    assert!(picture.contains("epoch    1"), "{picture}");
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_time_that_is_left_follows_from_the_speed() {
    let directory = directory("eta");
    train_in(&directory, 1);
    let mut files = train::RunFiles::read(&directory);
    fs::remove_dir_all(&directory).unwrap();
    let record = files.record.as_mut().unwrap();
    (record.epochs, record.batches) = (Some(10), Some(6));
    record.sessions[0].started = 100.0;
    for (i, line) in files.lines.iter_mut().enumerate() {
        (line.step, line.time) = (2 * i, 100.0 + 4.0 * i as f64);
    }
    // 4 lines: 6 steps of 60 in 12 seconds.
    let progress = eta::RunProgress::of(&files);
    assert_eq!((progress.step, progress.steps, progress.speed), (6, Some(60), Some(0.5)));
    assert_eq!((progress.fraction(), progress.remaining()), (Some(0.1), Some(108.0)));
}

#[test]
fn the_terminal_is_restored_after_its_start_or_the_dashboard_failed() {
    let run = |init: std::io::Result<()>, shown: Result<()>| {
        let mut restored = 0;
        let outcome = with_terminal(|| init, |()| shown, || restored += 1);
        (outcome.map_err(|e| e.message().to_string()), restored)
    };
    let never = || Err(Error::new("watch", "shown without a terminal"));
    let (outcome, restored) = run(Err(std::io::Error::other("no raw mode")), never());
    assert_eq!((outcome, restored), (Err("cannot use the terminal: no raw mode".into()), 1));
    let (outcome, restored) = run(Ok(()), Err(Error::new("watch", "gone")));
    assert_eq!((outcome, restored), (Err("gone".into()), 1));
    assert_eq!(run(Ok(()), Ok(())), (Ok(()), 1));
}

#[test]
fn keys_have_their_meaning() {
    let press = |code, modifiers| meaning(KeyEvent::new(code, modifiers));
    assert_eq!(press(KeyCode::Char('q'), KeyModifiers::NONE), Some(DashboardKey::Quit));
    assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(DashboardKey::Quit));
    assert_eq!(press(KeyCode::Char('c'), KeyModifiers::NONE), None);
    assert_eq!(press(KeyCode::Left, KeyModifiers::NONE), Some(DashboardKey::Previous));
    let key = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
    assert_eq!(meaning(KeyEvent { kind: KeyEventKind::Release, ..key }), None);
}
