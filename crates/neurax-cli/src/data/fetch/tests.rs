//! Downloads from servers of one process.

use super::*;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

/// Starts a server that answers one connection for each of `answers`, and returns the requests.
fn server(answers: Vec<Vec<u8>>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/files/data.bin", listener.local_addr().unwrap());
    let serve = move || {
        let answer = |answer: &Vec<u8>| {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head = lines.map(Result::unwrap).take_while(|line| !line.is_empty());
            let head = head.collect::<Vec<_>>().join("\n").to_lowercase();
            stream.write_all(answer).unwrap();
            head
        };
        answers.iter().map(answer).collect()
    };
    (url, thread::spawn(serve))
}

/// Returns an answer with `length` declared, which is not always that of `body`.
fn answer(status: &str, more: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    [head.as_bytes(), more.as_bytes(), b"\r\n", body].concat()
}

const CONTENTS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const EXPECTED: ExpectedFile = ExpectedFile {
    bytes: 26,
    sha256: "71c480df93d6ae2f1efad1447c66c9525e316218cf51fc8d9ed832f2daf18b73",
};

/// Returns the path of a file in a new folder.
fn target(name: &str) -> PathBuf {
    let folder = format!("neurax-fetch-{}-{name}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder.join("data.bin")
}

/// Returns the names of the files beside `path`.
fn files(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_is_downloaded_and_then_kept() {
    let path = target("whole");
    let (url, served) = server(vec![answer("200 OK", "", 26, CONTENTS)]);
    assert_eq!(fetch(&url, &path, EXPECTED).unwrap(), Fetched::Downloaded);
    assert_eq!(fs::read(&path).unwrap(), CONTENTS);
    assert_eq!(files(&path), ["data.bin"]);
    assert!(!served.join().unwrap()[0].contains("range:"));
    // The server is gone.
    assert_eq!(fetch(&url, &path, EXPECTED).unwrap(), Fetched::Kept);
}

#[test]
fn a_connection_that_is_cut_is_continued() {
    let path = target("cut");
    let rest = "Content-Range: bytes 10-25/26\r\n";
    let (url, served) = server(vec![
        answer("200 OK", "", 26, &CONTENTS[..10]),
        answer("206 Partial Content", rest, 16, &CONTENTS[10..]),
    ]);
    let error = fetch(&url, &path, EXPECTED).unwrap_err().to_string();
    assert!(error.contains("after 10 of 26 bytes; the same command continues"), "{error}");
    assert_eq!(files(&path), ["data.bin.part"]);
    assert_eq!(fetch(&url, &path, EXPECTED).unwrap(), Fetched::Downloaded);
    assert_eq!(fs::read(&path).unwrap(), CONTENTS);
    assert_eq!(files(&path), ["data.bin"]);
    assert!(served.join().unwrap()[1].contains("range: bytes=10-"));
}

#[test]
fn a_server_without_ranges_sends_the_whole_file_again() {
    let path = target("ranges");
    fs::write(path.with_file_name("data.bin.part"), b"xxx").unwrap();
    let (url, served) = server(vec![answer("200 OK", "", 26, CONTENTS)]);
    assert_eq!(fetch(&url, &path, EXPECTED).unwrap(), Fetched::Downloaded);
    assert_eq!(fs::read(&path).unwrap(), CONTENTS);
    assert!(served.join().unwrap()[0].contains("range: bytes=3-"));
    // Another range than the one that was asked for.
    let path = target("other-range");
    fs::write(path.with_file_name("data.bin.part"), &CONTENTS[..3]).unwrap();
    let more = "Content-Range: bytes 0-22/26\r\n";
    let (url, _served) = server(vec![answer("206 Partial Content", more, 23, &CONTENTS[..23])]);
    let error = fetch(&url, &path, EXPECTED).unwrap_err().to_string();
    assert!(error.contains("expected the bytes from 3 on, got `bytes 0-22/26`"), "{error}");
}

#[test]
fn a_part_of_another_file_is_replaced_in_the_same_call() {
    // With the whole size: nothing is asked for before the contents are found to differ.
    let path = target("stale-whole");
    fs::write(path.with_file_name("data.bin.part"), [b'x'; 26]).unwrap();
    let (url, served) = server(vec![answer("200 OK", "", 26, CONTENTS)]);
    assert_eq!(fetch(&url, &path, EXPECTED).unwrap(), Fetched::Downloaded);
    assert_eq!(fs::read(&path).unwrap(), CONTENTS);
    assert!(!served.join().unwrap()[0].contains("range:"));
    // Continued first, and then replaced.
    let path = target("stale-start");
    fs::write(path.with_file_name("data.bin.part"), [b'x'; 10]).unwrap();
    let rest = "Content-Range: bytes 10-25/26\r\n";
    let (url, served) = server(vec![
        answer("206 Partial Content", rest, 16, &CONTENTS[10..]),
        answer("200 OK", "", 26, CONTENTS),
    ]);
    assert_eq!(fetch(&url, &path, EXPECTED).unwrap(), Fetched::Downloaded);
    assert_eq!(fs::read(&path).unwrap(), CONTENTS);
    assert!(!served.join().unwrap()[1].contains("range:"));
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let path = target("silent");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/data.bin", listener.local_addr().unwrap());
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let serve = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&answer("200 OK", "", 26, &CONTENTS[..10])).unwrap();
        // The connection stays open until the client has given up.
        let _ = wait.recv();
    });
    let silence = Duration::from_millis(200);
    let error = fetch_within(&url, &path, EXPECTED, silence).unwrap_err().to_string();
    assert!(error.contains("after 10 of 26 bytes; the same command continues"), "{error}");
    assert_eq!(fs::read(path.with_file_name("data.bin.part")).unwrap(), &CONTENTS[..10]);
    drop(done);
    serve.join().unwrap();
}

#[test]
fn other_contents_are_removed() {
    let path = target("hash");
    let (url, _served) = server(vec![answer("200 OK", "", 26, &[b'x'; 26])]);
    let error = fetch(&url, &path, EXPECTED).unwrap_err().to_string();
    assert!(error.contains("sent another file, which was removed"), "{error}");
    assert!(error.contains("expected SHA-256 71c480df"), "{error}");
    assert!(files(&path).is_empty());
}

#[test]
fn a_wrong_size_is_reported_before_the_download() {
    let path = target("size");
    let (url, _served) = server(vec![answer("200 OK", "", 30, &[b'x'; 30])]);
    let error = fetch(&url, &path, EXPECTED).unwrap_err().to_string();
    assert!(error.ends_with("expected 26 bytes, the server has 30"), "{error}");
    assert!(files(&path).is_empty());
    // A server that does not say how much it sends, and sends too much.
    let path = target("endless");
    let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let (url, _served) = server(vec![[&head[..], CONTENTS, CONTENTS].concat()]);
    let error = fetch(&url, &path, EXPECTED).unwrap_err().to_string();
    assert!(error.contains("expected 26 bytes, got 27"), "{error}");
    assert!(files(&path).is_empty());
}

#[test]
fn a_failure_removes_no_bytes_that_were_downloaded() {
    let path = target("kept-part");
    let part = path.with_file_name("data.bin.part");
    fs::write(&part, &CONTENTS[..10]).unwrap();
    let (url, _served) = server(vec![answer("200 OK", "", 30, &[b'x'; 30])]);
    assert!(fetch(&url, &path, EXPECTED).is_err());
    assert!(fetch("http://127.0.0.1:1/data.bin", &path, EXPECTED).is_err());
    assert_eq!(fs::read(&part).unwrap(), &CONTENTS[..10]);
}

#[test]
fn a_file_that_is_there_is_not_changed() {
    let path = target("there");
    fs::write(&path, b"my notes").unwrap();
    let error = fetch("http://127.0.0.1:1/data.bin", &path, EXPECTED).unwrap_err().to_string();
    assert!(error.contains("another file is there") && error.contains("move it"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"my notes");
}

#[test]
fn failures_of_the_server_and_of_the_folder_are_errors() {
    let path = target("status");
    let (url, _served) = server(vec![answer("404 Not Found", "", 0, b"")]);
    let error = fetch(&url, &path, EXPECTED).unwrap_err().to_string();
    assert!(error.contains("404") && error.contains(&url), "{error}");
    assert!(files(&path).is_empty());
    // No server.
    let error = fetch("http://127.0.0.1:1/x", &path, EXPECTED).unwrap_err().to_string();
    assert!(error.contains("http://127.0.0.1:1/x: "), "{error}");
    let missing = path.with_file_name("missing").join("data.bin");
    assert!(fetch(&url, &missing, EXPECTED).is_err());
}

#[test]
fn one_process_writes_a_part() {
    let path = target("lock");
    let _part = PartialFile::open(&path).unwrap();
    let error = PartialFile::open(&path).err().unwrap().to_string();
    assert!(error.contains("another process downloads this file"), "{error}");
}
