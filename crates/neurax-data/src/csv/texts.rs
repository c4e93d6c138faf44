//! The texts of one column, for look-ups and tokenizers.

use super::layout::CsvColumns;
use super::records::Records;
use super::{Csv, CsvColumn};
use neurax_tensor::Result;

impl Csv {
    /// Reads the texts of a column, one for each line: for a look-up of categories or a tokenizer.
    /// An empty cell, or one of [`Csv::empty_texts`], is the empty text, which look-ups treat as
    /// unknown. Other options do not matter.
    ///
    /// # Errors
    /// If the column does not exist or has the name of another one, or a line is malformed.
    ///
    /// ```
    /// use neurax::{data::prepare::StringLookup, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-csv-texts.csv");
    /// std::fs::write(&path, "color,price\nred,1\nNA,2\nblue,3\n")?;
    /// let colors = data::csv(&path).empty_texts(["NA"]).texts("color")?;
    /// assert_eq!(colors, ["red", "", "blue"]);
    /// let lookup = StringLookup::fit(&colors, None);
    /// assert_eq!(lookup.indices(&colors).to_vec::<i32>()?, [2, 0, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn texts(&self, column: impl Into<CsvColumn>) -> Result<Vec<String>> {
        let mut records = Records::open(&self.file)?;
        let names = records.names().clone();
        let columns = CsvColumns { file: &self.file, names: &names, options: &self.options };
        let column = columns.find(&column.into())?;
        let mut texts = Vec::new();
        while let Some(record) = records.next()? {
            let text = record.field(column);
            let is_empty = self.options.empty_texts.iter().any(|empty| empty == text);
            texts.push(if is_empty { String::new() } else { text.to_string() });
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use crate::csv;

    #[test]
    fn texts_are_those_of_one_column() {
        let path = std::env::temp_dir().join(format!("neurax-csv-texts-{}", std::process::id()));
        std::fs::write(&path, "a,b\n x ,1\n\"y, z\",2\n,3\n").unwrap();
        assert_eq!(csv(&path).texts("a").unwrap(), ["x", "y, z", ""]);
        assert_eq!(csv(&path).header(false).texts(1).unwrap(), ["b", "1", "2", "3"]);
        let error = csv(&path).texts("c").unwrap_err().to_string();
        assert!(error.contains("expected one of the columns a, b, got "), "{error}");
        std::fs::write(&path, "a,b\n1\n").unwrap();
        assert!(csv(&path).texts("a").unwrap_err().message().contains("expected 2 columns"));
    }
}
