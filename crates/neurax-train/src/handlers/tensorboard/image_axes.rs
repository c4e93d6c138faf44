//! [`ImageAxes`].

/// The numbers of channels of an image: grey, RGB and RGBA.
const IMAGE_CHANNELS: [usize; 3] = [1, 3, 4];
/// The distance between two images of a grid, in pixels.
const GRID_GAP: usize = 1;

/// The axes of a tensor of pixels: an image, or a batch of images, which is a grid.
///
/// | shape | content |
/// |---|---|
/// | `[height, width]` | a grey image |
/// | `[height, width, channels]` | an image of 1 (grey), 3 (RGB) or 4 (RGBA) channels |
/// | `[channels, height, width]` | the same, if the last axis has another size |
/// | `[images, height, width, channels]` | a batch of images |
/// | `[images, channels, height, width]` | the same, if the last axis has another size |
///
/// The readers, the augmentation and the layers of the library have the channels first.
///
/// # Examples
///
/// ```
/// use neurax::train::ImageAxes;
/// let batch = ImageAxes::of(&[6, 3, 32, 32]).unwrap();
/// assert_eq!((batch.images, batch.channels), (6, 3));
/// assert_eq!(batch.grid_size(), [65, 98]); // 2 rows of 3 images, a pixel apart
/// assert_eq!(ImageAxes::of(&[32, 32]).map(|image| image.images), Some(1));
/// assert_eq!(ImageAxes::of(&[6, 2, 32, 32]), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageAxes {
    /// The number of images: 1 without an axis of images.
    pub images: usize,
    /// The height of an image in pixels.
    pub height: usize,
    /// The width of an image in pixels.
    pub width: usize,
    /// The number of channels: 1 without an axis of channels.
    pub channels: usize,
    /// True if the channels come before height and width.
    pub channels_first: bool,
}

impl ImageAxes {
    /// Returns the axes of a shape; `None` if it is no image or batch of images.
    pub fn of(shape: &[usize]) -> Option<ImageAxes> {
        let (images, image) = match *shape {
            [images, ref image @ ..] if image.len() == 3 => (images, image),
            _ => (1, shape),
        };
        let is_channels = |n: usize| IMAGE_CHANNELS.contains(&n);
        let (height, width, channels, channels_first) = match *image {
            [height, width] => (height, width, 1, false),
            [height, width, channels] if is_channels(channels) => (height, width, channels, false),
            [channels, height, width] if is_channels(channels) => (height, width, channels, true),
            _ => return None,
        };
        Some(ImageAxes { images, height, width, channels, channels_first })
    }

    /// Returns the height and the width of the grid in pixels: those of the image if it is one.
    pub fn grid_size(&self) -> [usize; 2] {
        let columns = self.grid_columns();
        let side =
            |n: usize, size: usize| n.saturating_mul(size + GRID_GAP).saturating_sub(GRID_GAP);
        [side(self.images.div_ceil(columns), self.height), side(columns, self.width)]
    }

    /// Returns the largest number of images whose grid is at most `side` pixels high and wide, from
    /// 1 on.
    ///
    /// ```
    /// use neurax::train::ImageAxes;
    /// let batch = ImageAxes::of(&[500, 1, 28, 28]).unwrap();
    /// assert_eq!(batch.images_within(100), 9);
    /// ```
    pub fn images_within(&self, side: usize) -> usize {
        let columns = (side + GRID_GAP) / (self.height.max(self.width) + GRID_GAP);
        columns.saturating_mul(columns).max(1)
    }

    /// Returns the pixels of the grid, with the channels last. `pixels` are those of the tensor.
    pub(super) fn grid(&self, pixels: Vec<u8>) -> Vec<u8> {
        if self.images == 1 && !self.channels_first {
            return pixels;
        }
        let ([height, width], columns) = (self.grid_size(), self.grid_columns());
        let mut grid = vec![0; height * width * self.channels];
        let images = pixels.chunks_exact((self.height * self.width * self.channels).max(1));
        for (i, image) in images.enumerate() {
            let top = i / columns * (self.height + GRID_GAP);
            let left = i % columns * (self.width + GRID_GAP);
            for (y, x) in (0..self.height).flat_map(|y| (0..self.width).map(move |x| (y, x))) {
                let at = ((top + y) * width + left + x) * self.channels;
                for channel in 0..self.channels {
                    grid[at + channel] = image[self.offset(y, x, channel)];
                }
            }
        }
        grid
    }

    /// Returns the number of columns of the grid, which is about square in images.
    fn grid_columns(&self) -> usize {
        let below = self.images.isqrt();
        (below + usize::from(below * below < self.images)).max(1)
    }

    /// Returns the position of an element in an image.
    fn offset(&self, y: usize, x: usize, channel: usize) -> usize {
        match self.channels_first {
            true => (channel * self.height + y) * self.width + x,
            false => (y * self.width + x) * self.channels + channel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_axis_has_the_channels_if_it_can() {
        let order = |shape: &[usize]| {
            ImageAxes::of(shape).map(|a| (a.height, a.width, a.channels, a.channels_first))
        };
        assert_eq!(order(&[3, 8, 9]), Some((8, 9, 3, true)));
        assert_eq!(order(&[8, 9, 3]), Some((8, 9, 3, false)));
        assert_eq!(order(&[3, 5, 3]), Some((3, 5, 3, false)));
        assert_eq!(order(&[2, 1, 8, 9]), Some((8, 9, 1, true)));
        assert_eq!(order(&[2, 8, 9, 4]), Some((8, 9, 4, false)));
        for shape in [&[4][..], &[5, 4, 2], &[2, 8, 9, 2], &[1, 1, 1, 8, 8], &[]] {
            assert_eq!(order(shape), None, "{shape:?}");
        }
    }

    #[test]
    fn a_grid_has_a_gap_between_its_images() {
        let batch = ImageAxes::of(&[3, 1, 1, 2]).unwrap();
        let columns_of = |n: usize| ImageAxes { images: n, ..batch }.grid_columns();
        assert_eq!([1, 2, 3, 4, 5, 9, 10].map(columns_of), [1, 2, 2, 2, 3, 3, 4]);
        assert_eq!(batch.grid_size(), [3, 5]);
        let rows = [[1, 2, 0, 3, 4], [0; 5], [5, 6, 0, 0, 0]];
        assert_eq!(batch.grid(vec![1, 2, 3, 4, 5, 6]), rows.concat());
    }

    #[test]
    fn images_without_pixels_have_a_grid_without_pixels() {
        for shape in [[0, 3, 8, 8], [2, 3, 0, 8], [2, 3, 8, 0]] {
            let axes = ImageAxes::of(&shape).unwrap();
            assert!(axes.images_within(10) >= 1);
            let [height, width] = axes.grid_size();
            assert!(height == 0 || width <= 1, "{axes:?}");
        }
    }
}
