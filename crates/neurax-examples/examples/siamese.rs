//! A siamese network: one tower with shared weights maps two images to vectors that are near each
//! other if both show the same digit. Hadsell, Chopra and LeCun, Dimensionality Reduction by
//! Learning an Invariant Mapping, 2006 (<https://doi.org/10.1109/CVPR.2006.100>).

use neurax::prelude::*;

/// The inputs by name.
pub type Images = std::collections::BTreeMap<String, Tensor>;

/// The distance from which on a pair of different digits costs nothing.
const MARGIN: f64 = 2.0;

/// Creates the network: the distance of two images, `[batch]`.
pub fn model() -> Model {
    let tower = nn::block("tower", |x| x.dense(64).relu().dense(32).relu().dense(8));
    let (left, right) = (nn::input("left", dims![_, 64]), nn::input("right", dims![_, 64]));
    let difference = tower.call(left) - tower.call(right);
    // The root has no derivative at 0.
    nn::layer("distance", [difference], |_, [d]| (d.square().sum(-1) + 1e-6).sqrt()).model()
}

/// Returns two pairs for each of the digits, one mostly of equal digits and one mostly of different
/// ones; the targets are 1 for equal digits, else 0.
///
/// # Errors
/// Returns an error if the tensors do not form a data set.
pub fn pairs(digits: &Dataset, key: Key) -> Result<Dataset<Images, Tensor>> {
    let n = digits.len();
    let [order, other] = key.split();
    let labels = digits.y.argmax(-1);
    // In the order of the labels, and among equal ones at random, neighbours are mostly equal.
    let order = order.permutation(n);
    let sorted = order.take(labels.take(&order, 0).argsort(0), 0);
    let (left, right) =
        (concat([&sorted, &sorted], 0), concat([sorted.roll(1, 0), other.permutation(n)], 0));
    let targets = labels.take(&left, 0).equal(labels.take(&right, 0)).to(F32);
    let image = |indices: &Tensor| digits.x.take(indices, 0);
    let images = [("left".into(), image(&left)), ("right".into(), image(&right))];
    Dataset::new(Images::from(images), targets)
}

/// Returns the mean contrastive loss.
fn objective(out: &Applied, batch: &data::Batch<Images, Tensor>) -> Tensor {
    loss::each::contrastive(out.y(), &batch.y, MARGIN).mean(..)
}

/// Returns the fraction of pairs that the distance tells to be equal or different.
fn accuracy(out: &Applied, batch: &data::Batch<Images, Tensor>) -> Tensor {
    let is_equal = out.y().lt(MARGIN / 2.0).to(F32);
    is_equal.equal(&batch.y).to(F32).mean(..)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let model = model();
    println!("{}", model.summary());
    let digits = data::digits()?.split(0.75, key(0));
    let (train, test) = (pairs(&digits.train, key(1))?, pairs(&digits.test, key(2))?);
    let trained = Trainer::objective(&model, objective, optim::adam(3e-3))
        .measure("accuracy", accuracy)
        .validate(&test)
        .run(&train.shuffled(key(3)).batched(32), epochs(8))?;
    println!("{}", trained.validation);
    match trained.validation["accuracy"] {
        found if found > 0.9 => Ok(()),
        found => Err(Error::new("siamese", format!("expected more than 90 %, got {found}"))),
    }
}
