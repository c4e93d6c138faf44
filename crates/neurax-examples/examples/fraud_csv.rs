//! Fraud in a table of payments, from a CSV file with empty cells and categories: what is learned
//! from the training rows to prepare inputs (medians, scales, names of countries), a rare class,
//! the area under the ROC curve, and a folder that holds the model with its preparation.
//!
//! ```text
//! cargo run --release -p neurax-examples --example fraud_csv -- --data payments.csv
//! ```
//!
//! The file needs the columns of [`NUMBERS`], `country` and `fraud`; other columns are ignored. The
//! model is in the folder `payments-model` beside the file, or in the one behind `--model`. Without
//! `--data`, the program writes such a file.

use data::prepare::{FillMissing, Standardizer, StringLookup};
use data::{EmptyCells, TextColumn};
use neurax::prelude::*;
use neurax_examples::arguments;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Trains a model that finds fraud in a table of payments. Without `--data`, trains on generated
/// payments.
#[derive(clap::Parser)]
struct FraudArguments {
    /// The CSV file of payments.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The folder of the trained model. Default: `NAME-model` beside the file `NAME.csv`.
    #[arg(long, requires = "data")]
    model: Option<PathBuf>,
}

/// The columns of numbers.
pub const NUMBERS: [&str; 3] = ["amount", "hour", "account_days"];

/// Rows of a file: numbers f32[n, 3], of which some are missing, and names of countries.
pub type PaymentRows = (Tensor, TextColumn);

/// Inputs of the model: numbers f32[n, 3], and indices of countries `i32[n]`.
pub type Payments = (Tensor, Tensor);

/// Creates a model of payments in one of `countries` countries. Each country is a vector of two
/// numbers that are learned.
pub fn model(countries: usize) -> Model {
    let numbers = nn::input("numbers", dims![_, 3]);
    let country = nn::typed_input("country", I32, dims![_]).embedding(countries, 2);
    nn::concat([&numbers, &country], -1)
        .dense(32)
        .relu()
        .dense(16)
        .relu()
        .dense(1)
        .sigmoid()
        .model()
}

/// The values that were learned from the training rows to prepare inputs.
pub struct Preparation {
    /// The medians, for empty cells.
    pub fill: FillMissing,
    /// The means and standard deviations.
    pub scale: Standardizer,
    /// The countries. One that is not among them has the index 0.
    pub countries: StringLookup,
}

impl Preparation {
    /// Learns from numbers, in which NaN is missing, and names of countries.
    ///
    /// # Errors
    /// Returns an error if a column holds no number.
    pub fn fit((numbers, countries): &PaymentRows) -> Result<Preparation> {
        let fill = FillMissing::median(numbers)?;
        let scale = Standardizer::fit(&fill.apply(numbers))?;
        let countries = StringLookup::fit(countries.texts()?, Some(50));
        Ok(Preparation { fill, scale, countries })
    }

    /// Returns inputs of the model.
    ///
    /// # Errors
    /// Returns an error if the rows carry one.
    pub fn apply(&self, (numbers, countries): &PaymentRows) -> Result<Payments> {
        let numbers = self.scale.apply(&self.fill.apply(numbers));
        Ok((numbers, self.countries.indices(countries.texts()?)))
    }

    /// Writes the values to three files in a folder.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        self.fill.save(folder.join("fill.safetensors"))?;
        self.scale.save(folder.join("scale.safetensors"))?;
        self.countries.save(folder.join("countries.json"))
    }

    /// Reads the values that [`Preparation::save`] wrote.
    ///
    /// # Errors
    /// Returns an error if a file is missing or damaged.
    pub fn load(folder: &Path) -> Result<Preparation> {
        Ok(Preparation {
            fill: FillMissing::load(folder.join("fill.safetensors"))?,
            scale: Standardizer::load(folder.join("scale.safetensors"))?,
            countries: StringLookup::load(folder.join("countries.json"))?,
        })
    }
}

/// Trains on 80 % of the rows of a file, saves the model and its preparation in `folder`, and
/// returns the area under the ROC curve of the other rows.
///
/// # Errors
/// Returns an error if the file does not have the columns, or the folder cannot be written.
pub fn roc_auc(file: &Path, folder: &Path) -> Result<f64> {
    // An empty cell is NaN here, because its replacement must not be learned from all rows.
    let csv = data::csv(file).select(NUMBERS).target("fraud").empty(EmptyCells::Value(f32::NAN));
    let table = csv.read()?;
    let countries = TextColumn::new(csv.texts("country")?);

    // Both parts have the same proportion of fraud: with a random split, one of them could have
    // hardly any.
    let rows = Dataset::new((table.x, countries), table.y.clone())?;
    let parts = rows.split_stratified(0.8, &table.y, key(0))?;
    let preparation = Preparation::fit(&parts.train.x)?;
    let train = Dataset::new(preparation.apply(&parts.train.x)?, parts.train.y)?;
    let test = Dataset::new(preparation.apply(&parts.test.x)?, parts.test.y)?;

    // A model that never says fraud is right in most rows. Here, each row of the rare class is
    // drawn more often, so that half of a batch is fraud. The probabilities of the model are those
    // of such batches; their order, which the area measures, is not affected.
    let is_fraud = train.y.reshape([train.len()]).to_vec::<f32>()?;
    let rate = is_fraud.iter().map(|&y| f64::from(y)).sum::<f64>() / train.len() as f64;
    let weight = |&y: &f32| if y > 0.5 { 1.0 / rate } else { 1.0 / (1.0 - rate) };
    let weights = is_fraud.iter().map(weight).collect();
    let balanced = train.stream().weighted(key(1), weights, train.len()).batch(128);

    let model = model(preparation.countries.len());
    let trained = Trainer::new(&model, loss::binary_cross_entropy, optim::adamw(3e-3, 1e-3))
        .metric(metric::roc_auc())
        .validate(&test)
        .run(&balanced, epochs(8))?;
    trained.net().save(folder)?; // the layers and their variables
    preparation.save(folder)?;
    Ok(trained.validation["roc_auc"])
}

/// Returns the score of one payment, by the model and the preparation in `folder`.
///
/// # Errors
/// Returns an error if a file of the folder is missing or damaged.
pub fn score(folder: &Path, numbers: [f32; 3], country: &str) -> Result<f64> {
    let (net, preparation) = (nn::Net::load(folder)?, Preparation::load(folder)?);
    let x = preparation.apply(&(tensor([numbers]), TextColumn::new([country])))?;
    net.apply(x).y().index((0, 0)).item()
}

/// Writes a file of `n` payments. Some amounts are missing, and 5 % of the rows are fraud.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write_file(path: &Path, n: usize) -> Result<()> {
    let column = |i: u32| key(5).fold_in(i).uniform([n]).to_vec::<f32>();
    let (amounts, hours, days) = (column(0)?, column(1)?, column(2)?);
    let (places, missing, chances) = (column(3)?, column(4)?, column(5)?);
    let mut text = String::from("id,amount,hour,account_days,country,channel,fraud\n");
    for i in 0..n {
        let place = (places[i] * places[i] * 8.0) as usize;
        let country = ["DE", "FR", "PL", "ES", "NL", "AT", "MT", "LU"].get(place).unwrap_or(&"");
        let (hour, days) = ((hours[i] * 24.0) as u32, (days[i] * 900.0) as u32);
        let amount = 20.0 * (3.0 * amounts[i]).exp();
        // Large payments from new accounts, at night, in two of the countries.
        let risk = amount / 100.0 - days as f32 / 150.0 + if hour < 6 { 1.5 } else { 0.0 };
        let risk = risk + if ["MT", "LU"].contains(country) { 2.0 } else { 0.0 };
        let fraud = u8::from(chances[i] < 1.0 / (1.0 + (6.0 - 2.0 * risk).exp()));
        let amount = if missing[i] < 0.1 { String::new() } else { format!("{amount:.2}") };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "p{i},{amount},{hour},{days},{country},web,{fraud}");
    }
    Ok(std::fs::write(path, text)?)
}

/// Trains on a file, saves the model in `folder`, and scores three payments.
///
/// # Errors
/// As [`roc_auc`].
pub fn train_and_score(file: &Path, folder: &Path) -> Result<()> {
    println!("area under the ROC curve: {:.3}", roc_auc(file, folder)?);
    // What a service does. An amount that is not known and a country that is new are no errors.
    println!("a usual payment:  {:.2}", score(folder, [30.0, 14.0, 700.0], "DE")?);
    println!("a strange one:    {:.2}", score(folder, [380.0, 3.0, 2.0], "LU")?);
    println!("one with gaps:    {:.2}", score(folder, [f32::NAN, 3.0, 2.0], "JP")?);
    Ok(())
}

/// Returns the default folder of the model of a file: `NAME-model` beside `NAME.csv`.
pub fn model_folder(file: &Path) -> PathBuf {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{name}-model"))
}

/// Runs the example on the file behind `--data`, or on a generated one.
pub fn main() -> Result<()> {
    let FraudArguments { data, model } = arguments();
    if let Some(file) = data {
        let model = model.unwrap_or_else(|| model_folder(&file));
        train_and_score(&file, &model)?;
        println!("the model and its preparation are in {}", model.display());
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("neurax-example-fraud-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("payments.csv");
    write_file(&file, 4000)?;
    train_and_score(&file, &folder.join("model"))?;
    Ok(std::fs::remove_dir_all(folder)?)
}
