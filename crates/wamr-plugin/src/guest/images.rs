//! The images of a prompt: files that the configuration names, and pictures that stand in the text itself.
//!
//! Each becomes bytes and a mark where it stands. What the bytes show, and whether they are an image at all, the engine
//! sees.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use engine::IMAGE_MARK;

use super::account::Share;
use super::apart;
use crate::config::Options;
use crate::failure::Failure;
use crate::names::Names;
use crate::plain::quoted;

/// Most bytes of one image's file.
const LONGEST: u64 = 64 << 20;

/// Most images of one prompt: the engine's limit.
const MOST: usize = 64;

/// How a picture in the text begins; the name of its format and [`ENCODED`] follow.
const OPENING: &str = "<img src=\"data:image/";

/// Behind the name of the format.
const ENCODED: &str = ";base64,";

/// Longest name of a format, in bytes.
const LONGEST_FORMAT: usize = 64;

/// How guests of the other plugin write where an image is to be.
const PLACE: &str = "<image>";

/// With the padding at the end or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A prompt as the engine takes it.
pub struct Placed {
    /// With a mark for each image.
    pub text: Arc<str>,
    /// In the order of their marks.
    pub images: Vec<Arc<[u8]>>,
    /// What they take, where there are any.
    pub room: Option<Share>,
}

/// A picture that stands in a text.
struct Written<'a> {
    /// The bytes of the text that it takes.
    at: Range<usize>,
    /// In base 64.
    code: &'a str,
}

/// Puts `image`'s files and the pictures of `text` in their places: a file at the next mark, or in front where the text
/// has none. Without any image the text is left as it is, marks included.
///
/// Errors: `InvalidArgument` for images without a projector, too many, too large or broken ones, and for marks that are
/// not as many as the files; `ModelNotFound` and `Refused` for a path; `Busy` where they do not fit into `room`.
pub fn place(
    text: Arc<str>,
    options: &Options,
    names: &Names,
    mut room: Share,
) -> Result<Placed, Failure> {
    let written = find(&text)?;
    let count = written.len() + options.image.len();
    if count == 0 {
        return Ok(Placed {
            text,
            images: Vec::new(),
            room: None,
        });
    }
    if options.mmproj.is_none() {
        let said = "the prompt has images, which must come with mmproj";
        return Err(Failure::InvalidArgument(said.into()));
    }
    if count > MOST {
        return Err(Failure::InvalidArgument(format!(
            "the prompt has {count} images, must have at most {MOST}"
        )));
    }
    // Four characters are three bytes.
    let mut bytes: u64 = written
        .iter()
        .map(|one| one.code.len().div_ceil(4) as u64 * 3)
        .sum();
    let mut take = |more: u64| {
        bytes += more;
        let has_room = room.try_set(bytes);
        has_room.then_some(()).ok_or_else(no_room)
    };
    take(0)?;
    let pictures: Result<Vec<_>, Failure> = written.iter().map(Written::decode).collect();
    let pictures = pictures?;
    let files = match options.image.as_slice() {
        [] => Vec::new(),
        // A guest's stack may be too small for the way to a file.
        paths => apart::run(|| read(paths, names, &mut take))?,
    };
    let mut placed = compose(&text, &written, pictures, files)?;
    placed.room = Some(room);
    Ok(placed)
}

/// Whether a prompt has images, in itself or by its settings.
pub fn has_images(text: &str, options: &Options) -> bool {
    !options.image.is_empty() || text.contains(OPENING)
}

/// The pictures in a text. Errors: `InvalidArgument` for one that does not end.
fn find(text: &str) -> Result<Vec<Written<'_>>, Failure> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find(OPENING).map(|at| from + at) {
        from = start + OPENING.len();
        let is_format = |b: &u8| b.is_ascii_alphanumeric() || b".+-".contains(b);
        let bytes = text.as_bytes();
        let format = bytes[from..]
            .iter()
            .take(LONGEST_FORMAT)
            .take_while(|b| is_format(b));
        let behind = from + format.count();
        // Another kind of data is text like any other.
        let Some(code) = text[behind..].strip_prefix(ENCODED) else {
            continue;
        };
        let unended = || {
            Failure::InvalidArgument(format!(
                "the image at byte {start} of the prompt does not end with \">"
            ))
        };
        let code = &code[..code.find('"').ok_or_else(unended)?];
        let quote = behind + ENCODED.len() + code.len();
        // More attributes may follow, but no other tag.
        let tail = text[quote..].find(['<', '>']).map(|at| quote + at);
        let end = tail.filter(|&at| bytes[at] == b'>').ok_or_else(unended)?;
        from = end + 1;
        found.push(Written {
            at: start..from,
            code,
        });
    }
    Ok(found)
}

impl Written<'_> {
    fn decode(&self) -> Result<Arc<[u8]>, Failure> {
        let bytes = BASE64.decode(self.code).map_err(|error| {
            let start = self.at.start;
            Failure::InvalidArgument(format!(
                "the image at byte {start} of the prompt is not base 64: {error}"
            ))
        })?;
        Ok(bytes.into())
    }
}

/// The contents of files; `take` says whether there is room for so many bytes more.
fn read(
    paths: &[String],
    names: &Names,
    take: &mut dyn FnMut(u64) -> Result<(), Failure>,
) -> Result<Vec<Arc<[u8]>>, Failure> {
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let found = names.resolve_path(path)?;
        let failed = |error: std::io::Error| {
            Failure::ModelNotFound(format!("{}: {error}", found.path.display()))
        };
        let file = match found.file {
            Some(file) => file,
            None => File::open(&found.path).map_err(failed)?,
        };
        let mut bytes = Vec::new();
        let read = file.take(LONGEST + 1).read_to_end(&mut bytes);
        let length = read.map_err(failed)? as u64;
        if length > LONGEST {
            return Err(Failure::InvalidArgument(format!(
                "the image {} is longer than {LONGEST} bytes",
                quoted(path)
            )));
        }
        take(length)?;
        files.push(bytes.into());
    }
    Ok(files)
}

/// The text with its marks, and the images in their order; not their room.
fn compose(
    text: &str,
    written: &[Written<'_>],
    pictures: Vec<Arc<[u8]>>,
    files: Vec<Arc<[u8]>>,
) -> Result<Placed, Failure> {
    let starts = std::iter::once(0).chain(written.iter().map(|one| one.at.end));
    let ends = written.iter().map(|one| one.at.start).chain([text.len()]);
    let between: Vec<&str> = starts.zip(ends).map(|(from, to)| &text[from..to]).collect();
    let count = |word: &str| -> usize { between.iter().map(|t| t.matches(word).count()).sum() };
    let (marks, places, wanted) = (count(IMAGE_MARK), count(PLACE), files.len());
    let word = match marks {
        0 if places == wanted => PLACE,
        _ => IMAGE_MARK,
    };
    if marks > 0 && marks != wanted {
        return Err(Failure::InvalidArgument(format!(
            "the prompt has {marks} times {IMAGE_MARK} for {wanted} images of image, must have it once for each"
        )));
    }
    let mut files = files.into_iter();
    let (mut placed, mut images) = (String::with_capacity(text.len()), Vec::new());
    let mut put = |placed: &mut String, image| {
        placed.push_str(IMAGE_MARK);
        images.push(image);
    };
    if count(word) == 0 {
        files.by_ref().for_each(|file| put(&mut placed, file));
    }
    let mut pictures = pictures.into_iter();
    for part in between {
        // The word occurs once for each file, or not at all.
        for (at, piece) in part.split(word).enumerate() {
            if at > 0
                && let Some(file) = files.next()
            {
                put(&mut placed, file);
            }
            placed.push_str(piece);
        }
        if let Some(picture) = pictures.next() {
            put(&mut placed, picture);
        }
    }
    Ok(Placed {
        text: placed.into(),
        images,
        room: None,
    })
}

fn no_room() -> Failure {
    Failure::Busy(
        "images, prompts and answers of the instance take all the memory that they may".into(),
    )
}

#[cfg(test)]
mod tests;
