//! A table from a CSV file: read it, split it, train on it, and predict new rows.

use neurax::prelude::*;
use std::fmt::Write;

/// Creates a linear model from the area and age of a house to its price.
pub fn model() -> Node {
    nn::input("house", dims![_, 2]).dense(1)
}

/// Writes a file of synthetic houses: price = 3 area - 0.5 age + 1.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write(path: &std::path::Path) -> Result<()> {
    let [areas, ages] = [key(1), key(2)].map(|k| k.uniform(200).to_vec::<f32>());
    let mut text = String::from("area,age,price\n");
    for (area, age) in areas?.into_iter().zip(ages?) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{area},{age},{}", 3.0 * area - 0.5 * age + 1.0);
    }
    Ok(std::fs::write(path, text)?)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let path =
        std::env::temp_dir().join(format!("neurax-example-houses-{}.csv", std::process::id()));
    write(&path)?;

    // All columns but the target are inputs; `classes` reads names as class indices.
    let houses = data::csv(&path).target("price").read()?.split(0.8, key(0));
    let trained = Trainer::new(model(), loss::mse, optim::adam(0.05))
        .metric(metric::mae())
        .validate(&houses.test)
        .quiet()
        .run(&houses.train.shuffled(key(1)).batched(16), epochs(40))?;
    println!("on held-out houses: {}", trained.validation);

    let price = trained.net().apply(tensor([[0.5, 0.5]])).y().item()?;
    println!("a house of area 0.5 and age 0.5: {price:.2}");
    Ok(std::fs::remove_file(&path)?)
}
