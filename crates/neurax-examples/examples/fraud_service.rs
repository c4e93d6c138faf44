//! A web service that scores orders: `POST /score` with the features as JSON, `[0.5, 1, ..]`, is
//! answered by the probability of a fraud.
//!
//! The model is a file, as it comes from Python. HTTP is read and written by hand, as far as this
//! service needs it, by one thread for each connection; the requests of all threads share batches.
//! With a web framework, the function [`score`] is the handler (see `docs/serving.md`).
//!
//! `cargo run --release -p neurax-examples --example fraud_service -- --address 127.0.0.1:8080`
//! serves until it is stopped. Without an address, the program sends itself a few orders.

use neurax::prelude::*;
use neurax::serve::{Refusal, Server};
use neurax_examples::arguments;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Serves a model that scores orders. Without `--address`, sends itself a few orders.
#[derive(clap::Parser)]
struct ServiceArguments {
    /// The address to serve on until the program is stopped, such as 127.0.0.1:8080.
    #[arg(long)]
    address: Option<SocketAddr>,
}

/// The number of features of an order.
const ORDER_FEATURES: usize = 30;
/// The most bytes of a line of a header, and of a body.
const MAX_LINE: u64 = 8 * 1024;
const MAX_BODY: usize = 64 * 1024;
/// The most lines of a header.
const MAX_HEADERS: usize = 100;

/// The service: features in, a probability out.
pub type FraudServer = Server<Vec<f32>, f64>;

/// A status line of HTTP, and the body.
type Reply = (&'static str, String);

/// Starts the service on the model of a file.
///
/// # Errors
/// Returns an error if the model cannot be read or takes no orders of 30 features.
pub fn start(model: &std::path::Path) -> Result<FraudServer> {
    Serving::new(onnx::predictor(model)?)
        .preprocess(|order: Vec<f32>| match order.len() {
            ORDER_FEATURES => Ok(Tensor::from_vec(order, [1, ORDER_FEATURES])),
            got => {
                Err(Error::new("order", format!("expected {ORDER_FEATURES} numbers, got {got}")))
            }
        })
        .postprocess(|score: Tensor| score.item())
        .timeout(Duration::from_secs(5))
        .start()
}

/// Answers the connections of a listener, each in a thread, until `count` have come; without a
/// count, forever.
///
/// # Errors
/// Returns an error if the listener fails.
pub fn serve(listener: &TcpListener, server: &FraudServer, count: Option<usize>) -> Result<()> {
    let connections = listener.incoming().take(count.unwrap_or(usize::MAX));
    thread::scope(|scope| {
        for connection in connections {
            let connection = connection?;
            // A client that leaves or sends nothing ends its own thread only.
            scope.spawn(move || _ = answer(connection, server));
        }
        Ok(())
    })
}

/// Reads one request, and writes the reply.
fn answer(connection: TcpStream, server: &FraudServer) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(&connection);
    let (status, body) = match request(&mut reader)? {
        Some((line, body)) if line.starts_with("POST /score ") => score(&body, server),
        Some(_) => ("404 Not Found", "expected POST /score".into()),
        None => ("400 Bad Request", "expected a request of HTTP/1.1 with a Content-Length".into()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    (&connection).write_all(format!("{head}\r\n{body}").as_bytes())
}

/// Returns the first line and the body of a request; `None` for one that is not understood.
fn request(reader: &mut impl BufRead) -> std::io::Result<Option<(String, String)>> {
    let mut line = || {
        let mut line = String::new();
        reader.by_ref().take(MAX_LINE).read_line(&mut line)?;
        Ok::<_, std::io::Error>(line)
    };
    let first = line()?;
    let mut length = None;
    for _ in 0..MAX_HEADERS {
        let header = line()?;
        match header.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().ok().filter(|&n: &usize| n <= MAX_BODY);
            }
            Some(_) => (),
            None => break,
        }
    }
    let Some(length) = length else { return Ok(None) };
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(String::from_utf8(body).ok().map(|body| (first, body)))
}

/// Handles a request: the body is an order.
pub fn score(body: &str, server: &FraudServer) -> Reply {
    let Some(order) = numbers(body) else {
        return ("400 Bad Request", "expected a JSON list of numbers".into());
    };
    match server.run(order) {
        Ok(score) => ("200 OK", format!("{{\"fraud\": {score}}}")),
        Err(e) => match Refusal::of(&e) {
            Some(Refusal::QueueFull | Refusal::ShuttingDown) => {
                ("503 Service Unavailable", "too many requests; try again".into())
            }
            Some(Refusal::TimedOut | Refusal::TooSlow) => {
                ("504 Gateway Timeout", "no answer in time".into())
            }
            None => ("400 Bad Request", e.message().into()),
        },
    }
}

/// Reads a JSON list of numbers.
fn numbers(text: &str) -> Option<Vec<f32>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let number = |x: &str| x.trim().parse::<f32>().ok().filter(|x| x.is_finite());
    inner.split(',').map(number).collect()
}

/// Sends an order to the service, and returns the whole reply.
///
/// # Errors
/// Returns an error if the connection fails.
pub fn post(address: SocketAddr, body: &str) -> Result<String> {
    let mut connection = TcpStream::connect(address)?;
    let length = body.len();
    write!(connection, "POST /score HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut reply = String::new();
    connection.read_to_string(&mut reply)?;
    Ok(reply)
}

/// Writes a model with random weights, in place of one from Python.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write_model(path: &std::path::Path) -> Result<()> {
    let layers = nn::input("order", dims![_, 30]).dense(64).relu().dense(32).relu();
    let model = layers.dense(1).sigmoid().model();
    let net = model.bind(model.init(key(7), &types![f32[_, 30]])?);
    onnx::export(&net, types![f32[_, 30]], path)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let ServiceArguments { address } = arguments();
    let name = format!("neurax-fraud-{}.onnx", std::process::id());
    let file = std::env::temp_dir().join(name);
    write_model(&file)?;
    let server = start(&file);
    std::fs::remove_file(&file)?;
    let server = server?;
    if let Some(address) = address {
        let listener = TcpListener::bind(address)?;
        println!("serving on {}", listener.local_addr()?);
        return serve(&listener, &server, None);
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let orders = ["0.5, ".repeat(29) + "1", "1.5, ".repeat(29) + "0", "1, 2".to_string()];
    thread::scope(|scope| {
        let service = scope.spawn(|| serve(&listener, &server, Some(orders.len())));
        // All are sent before an error returns: the service waits for each.
        let send = |order: &String| post(address, &format!("[{order}]"));
        let replies: Vec<Result<String>> = orders.iter().map(send).collect();
        for reply in replies {
            let reply = reply?;
            let lines = (reply.lines().next(), reply.lines().last());
            println!("{}: {}", lines.0.unwrap_or_default(), lines.1.unwrap_or_default());
        }
        service.join().unwrap_or_else(|_| Err(Error::new("serving", "the service panicked")))
    })
}
