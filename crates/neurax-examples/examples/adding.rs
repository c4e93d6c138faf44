//! A recurrent network that adds two numbers which are far apart in a sequence: the adding problem
//! of Hochreiter and Schmidhuber, 1997 (<https://doi.org/10.1162/neco.1997.9.8.1735>).

use neurax::prelude::*;

/// The number of steps of a sequence.
const STEPS: usize = 50;

/// Creates a network that predicts the sum so far at every step of `[batch, steps, 2]`.
pub fn model() -> Model {
    nn::input("x", dims![_, _, 2]).lstm(16).dense(1).model()
}

/// Returns `n` random sequences. Each step has a number from -1 to 1 and a mark, which is 1 at one
/// step of the first half and at one of the second half, else 0. The targets are the sums of the
/// marked numbers so far.
///
/// # Errors
/// Returns an error if the tensors do not form a data set.
pub fn sums(n: usize, key: Key) -> Result<Dataset<Tensor, Tensor>> {
    let [values, first, second] = key.split();
    let half = STEPS as i64 / 2;
    let values = values.uniform_of(F32, [n, STEPS], -1.0, 1.0);
    let first = first.randint([n], 0..half).one_hot(STEPS);
    let second = second.randint([n], half..2 * half).one_hot(STEPS);
    let marks = first + second;
    let targets = (&values * &marks).cumsum(1).expand_dims(-1);
    Dataset::new(stack([values, marks], -1), targets)
}

/// Returns the mean squared error of the last step, the sum of both numbers. Always answering 0
/// has the error 0.67.
fn error_of_sum(out: &Applied, batch: &data::Batch) -> Tensor {
    loss::mse(&out.y().slice(1, -1..), &batch.y.slice(1, -1..))
}

/// Runs the example.
pub fn main() -> Result<()> {
    let model = model();
    println!("{}", model.summary());
    let optim = optim::chain([optim::clip(1.0), optim::adam(0.01)]);
    let trained = Trainer::new(&model, loss::mse, optim)
        .measure("error of sum", error_of_sum)
        .validate(&sums(256, key(1))?)
        .run(&sums(1024, key(2))?.shuffled(key(3)).batched(16), epochs(8))?;
    println!("{}", trained.validation);
    match trained.validation["error of sum"] {
        error if error < 0.05 => Ok(()),
        error => Err(Error::new("adding", format!("expected an error below 0.05, got {error}"))),
    }
}
