//! Folders of images: one subfolder for each class.

use crate::kept::Kept;
use crate::one_hot_row;
use crate::stream::Stream;
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader};
use neurax_tensor::io::{open_file, read_file};
use neurax_tensor::{Error, Result, Tensor, Tree};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The endings of the names of files that are read.
const IMAGE_ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "bmp"];

/// A folder of images: see [`image_folder`].
#[derive(Clone, Debug)]
#[must_use = "no image is read before the epochs of `stream`"]
pub struct ImageFolder {
    /// The files with their classes, sorted by class, then by name.
    files: Arc<[(PathBuf, usize)]>,
    classes: Arc<[String]>,
    /// The height and width to which images are resized.
    size: Option<[usize; 2]>,
    is_gray: bool,
    /// The first image whose size can be read, with its width and height: all others must have
    /// this size, unless they are resized.
    first: Kept<Option<(PathBuf, (u32, u32))>>,
}

/// Lists the images in a folder that has a subfolder for each class, with the class as its name:
/// `cats/1.png`, `dogs/2.jpg`. Files that end in `.png`, `.jpg`, `.jpeg` and `.bmp` are images;
/// others are skipped. Classes and files are in alphabetical order. Hidden files and folders, whose
/// names start with a dot, are skipped, and a folder without images is no class.
///
/// # Errors
/// If the folder cannot be read, or has no images in subfolders.
///
/// ```no_run
/// use neurax::prelude::*;
/// let folder = data::image_folder("data/pets")?.resize([64, 64]);
/// println!("{} images of {:?}", folder.len(), folder.classes());
/// let batches = folder.stream().shuffle(key(0)).prefetch(4).batch(32);
/// # Ok::<(), Error>(())
/// ```
pub fn image_folder(path: impl AsRef<Path>) -> Result<ImageFolder> {
    let path = path.as_ref();
    let (mut files, mut classes) = (Vec::new(), Vec::new());
    for folder in entries(path)?.into_iter().filter(|entry| entry.is_dir()) {
        let images: Vec<PathBuf> = entries(&folder)?.into_iter().filter(|p| is_image(p)).collect();
        if images.is_empty() {
            continue;
        }
        files.extend(images.into_iter().map(|file| (file, classes.len())));
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        classes.push(name.into_owned());
    }
    if files.is_empty() {
        let why = format!("expected subfolders with images ({})", IMAGE_ENDINGS.join(", "));
        return Err(failed(path, why));
    }
    let (files, classes) = (files.into(), classes.into());
    Ok(ImageFolder { files, classes, size: None, is_gray: false, first: Kept::default() })
}

impl ImageFolder {
    /// Resizes all images to this height and width, by linear interpolation with antialiasing. The
    /// ratio of the sides may change.
    pub fn resize(self, size: [usize; 2]) -> ImageFolder {
        ImageFolder { size: Some(size), ..self }
    }

    /// Reads all images with one channel of brightness instead of three colors.
    pub fn grayscale(self) -> ImageFolder {
        ImageFolder { is_gray: true, ..self }
    }

    /// Returns the names of the classes, in the order of their indices.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns true if there are no images, which [`image_folder`] does not return.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns the class of each image, for [`Stream::stratified`].
    pub fn labels(&self) -> Vec<usize> {
        self.files.iter().map(|(_, class)| *class).collect()
    }

    /// Returns the images and their classes, with random access: f32[3, height, width] in 0..=1
    /// (red, green, blue; one channel with [`ImageFolder::grayscale`]), and one-hot `f32[classes]`.
    /// An image is decoded when it is used; [`Stream::prefetch`] decodes several in parallel.
    ///
    /// # Errors
    /// An item is an error if the file cannot be read or decoded, or, without
    /// [`ImageFolder::resize`], if its size differs from that of the first image that can be read.
    pub fn stream(&self) -> Stream<(Tensor, Tensor)> {
        let folder = self.clone();
        Stream::from_index(self.len(), move |i| folder.example(i))
    }

    fn example(&self, i: usize) -> Result<(Tensor, Tensor)> {
        let missing = || Error::bug(format!("expected an image below {}, got {i}", self.len()));
        let (path, class) = self.files.get(i).ok_or_else(missing)?;
        let mut image = decoded(path)?;
        match self.size {
            Some([height, width]) => {
                let size = u32::try_from(height).ok().zip(u32::try_from(width).ok());
                let (height, width) = size.ok_or_else(|| failed(path, "the size is too large"))?;
                image = image.resize_exact(width, height, FilterType::Triangle);
            }
            None => self.check_size(path, &image)?,
        }
        Ok((self.pixels(image).ok()?, one_hot_row(*class, self.classes.len())?))
    }

    /// Checks that an image has the size of the first one that can be read.
    fn check_size(&self, path: &Path, image: &DynamicImage) -> Result<()> {
        let found = || {
            let sizes = self.files.iter().map(|(file, _)| (file, dimensions(file)));
            let mut read = sizes.filter_map(|(file, size)| Some((file.clone(), size.ok()?)));
            Ok(read.next())
        };
        let found = self.first.get(found)?;
        let Some((first, want)) = &*found else { return Ok(()) };
        let (want, got) = (*want, (image.width(), image.height()));
        if got == want {
            return Ok(());
        }
        let text = |(width, height): (u32, u32)| format!("{width} x {height}");
        let want = format!("{} pixels, as in {}", text(want), first.display());
        let why = format!("expected {want}, got {}; give all one size with `resize`", text(got));
        Err(failed(path, why))
    }

    /// Returns the pixels, f32[channels, height, width].
    fn pixels(&self, image: DynamicImage) -> Tensor {
        let (height, width) = (image.height() as usize, image.width() as usize);
        let (bytes, channels) = match self.is_gray {
            true => (image.into_luma8().into_raw(), 1),
            false => (image.into_rgb8().into_raw(), 3),
        };
        let plane =
            |c: usize| bytes.iter().skip(c).step_by(channels).map(|&b| f32::from(b) / 255.0);
        let pixels: Vec<f32> = (0..channels).flat_map(plane).collect();
        Tensor::from_vec(pixels, [channels, height, width])
    }
}

/// Returns the entries of a folder that are not hidden, sorted by name.
fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let list = || {
        let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
        let mut entries = entries.collect::<std::io::Result<Vec<PathBuf>>>()?;
        let is_hidden =
            |path: &Path| path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        entries.retain(|path| !is_hidden(path));
        entries.sort();
        Ok::<_, std::io::Error>(entries)
    };
    list().map_err(|e| failed(path, e))
}

/// Returns true if the name of a file has the ending of an image.
fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| IMAGE_ENDINGS.contains(&&ending[..]))
}

/// Returns the width and the height of the image in a file. As in [`decoded`], its format is that
/// of the first bytes; the name may claim another.
fn dimensions(path: &Path) -> Result<(u32, u32)> {
    let file = open_file(path).map_err(|e| failed(path, e))?;
    let reader = ImageReader::new(BufReader::new(file)).with_guessed_format();
    let reader = reader.map_err(|e| failed(path, e))?;
    reader.into_dimensions().map_err(|e| failed(path, e))
}

fn decoded(path: &Path) -> Result<DynamicImage> {
    let bytes = read_file(path).map_err(|e| failed(path, e))?;
    image::load_from_memory((*bytes).as_ref()).map_err(|e| failed(path, e))
}

fn failed(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new("image_folder", format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};
    use neurax_tensor::key;

    /// Writes images of one color each.
    fn folder(name: &str, images: &[(&str, [u32; 2], [u8; 3])]) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("neurax-images-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        for (path, [height, width], color) in images {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            RgbImage::from_pixel(*width, *height, Rgb(*color)).save(path).unwrap();
        }
        folder
    }

    #[test]
    fn images_are_examples_in_the_order_of_their_classes() {
        let path = folder(
            "classes",
            &[
                ("dog/b.png", [2, 3], [255, 0, 51]),
                ("cat/z.png", [2, 3], [0, 0, 0]),
                ("dog/a.png", [2, 3], [0, 255, 0]),
            ],
        );
        std::fs::write(path.join("dog/notes.txt"), "no image").unwrap();
        let images = image_folder(&path).unwrap();
        assert_eq!((images.classes(), images.len()), (&["cat".into(), "dog".into()][..], 3));
        assert_eq!(images.labels(), [0, 1, 1]);
        let (x, y) = images.stream().epoch_from(0, 2).next().unwrap().unwrap();
        assert_eq!(x.to_string().lines().next().unwrap(), "f32[3, 2, 3]");
        let means = x.mean([1, 2]).to_vec::<f32>().unwrap();
        assert!(means.iter().zip([1.0, 0.0, 0.2]).all(|(a, b)| (a - b).abs() < 1e-6), "{means:?}");
        assert_eq!(y.to_vec::<f32>().unwrap(), [0.0, 1.0]);
        let gray = images.grayscale().resize([4, 4]).stream().shuffle(key(0)).prefetch(2).batch(3);
        assert_eq!(gray.epoch(0).next().unwrap().unwrap().x.shape(), [3, 1, 4, 4]);
    }

    #[test]
    fn sizes_that_differ_are_an_error_that_names_both() {
        let path = folder("sizes", &[("a/1.png", [2, 3], [0; 3]), ("b/2.png", [4, 3], [0; 3])]);
        let images = image_folder(&path).unwrap();
        let error = images.stream().epoch(0).nth(1).unwrap().unwrap_err().to_string();
        assert!(error.contains("2.png: expected 3 x 2 pixels, as in "), "{error}");
        assert!(error.contains("1.png, got 3 x 4; give all one size with `resize`"), "{error}");
        assert_eq!(images.resize([5, 5]).stream().epoch(0).filter(Result::is_ok).count(), 2);
    }

    #[test]
    fn a_broken_image_is_an_error_of_its_own_item_only() {
        let images: Vec<String> = (0..4).map(|i| format!("a/{i}.png")).collect();
        let images: Vec<_> = images.iter().map(|name| (&name[..], [2, 3], [0; 3])).collect();
        let path = folder("first", &images);
        std::fs::write(path.join("a/0.png"), b"no image").unwrap();
        let stream = image_folder(&path).unwrap().stream();
        let error = stream.epoch(0).next().unwrap().unwrap_err().to_string();
        assert!(error.contains("0.png: "), "{error}");
        assert_eq!(stream.epoch_from(0, 1).filter(Result::is_ok).count(), 3);
        // The size is known, so that the first image is not opened again.
        std::fs::remove_file(path.join("a/1.png")).unwrap();
        assert_eq!(stream.epoch_from(0, 2).filter(Result::is_ok).count(), 2);
    }

    #[test]
    fn formats_are_those_of_the_contents() {
        let path = folder("formats", &[("a/1.png", [2, 3], [9; 3]), ("b/2.png", [2, 3], [9; 3])]);
        // A PNG file that is called JPEG.
        std::fs::rename(path.join("a/1.png"), path.join("a/1.jpg")).unwrap();
        let items = image_folder(&path).unwrap().stream().epoch(0).collect::<Result<Vec<_>>>();
        assert_eq!(items.unwrap().len(), 2);
    }

    #[test]
    fn hidden_and_empty_folders_are_no_classes() {
        let path = folder(
            "hidden",
            &[
                ("cat/1.png", [2, 3], [0; 3]),
                ("cat/._1.png", [2, 3], [0; 3]),
                (".cache/2.png", [2, 3], [0; 3]),
                ("dog/3.png", [2, 3], [0; 3]),
            ],
        );
        std::fs::create_dir_all(path.join("cow")).unwrap();
        let images = image_folder(&path).unwrap();
        assert_eq!(
            (images.classes(), images.labels()),
            (&["cat".into(), "dog".into()][..], vec![0, 1])
        );
    }

    #[test]
    fn files_that_are_no_images_are_errors() {
        let path = folder("broken", &[("a/1.png", [2, 3], [0; 3])]);
        std::fs::write(path.join("a/2.jpg"), b"no image").unwrap();
        let items: Vec<_> = image_folder(&path).unwrap().stream().epoch(0).collect();
        assert!(items[1].as_ref().unwrap_err().message().contains("2.jpg"));
        let empty = folder("empty", &[]);
        std::fs::create_dir_all(empty.join("a")).unwrap();
        let error = image_folder(&empty).unwrap_err().to_string();
        assert!(error.contains("expected subfolders with images (png, jpg, jpeg, bmp)"), "{error}");
    }
}
