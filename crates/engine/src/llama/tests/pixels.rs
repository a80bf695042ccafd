//! The pixels of images against those of the decoder that llama.cpp's own programs use.

mod files;

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};

use super::super::media::decode;
use super::forge::{bmp, jpeg, png, png_of};

/// How far a value of a JPEG may be from llama.cpp's decoder's: both round.
const JPEG_NEAR: u8 = 2;
/// How far a value of a BMP of 16 bits may be: 5 bits become 8 by rounding here, by repeating the upper ones there.
const NARROW_NEAR: u8 = 1;

// SAFETY: the declarations of stb_image, which is compiled into libmtmd; the calls are in `theirs` alone.
unsafe extern "C" {
    fn stbi_load_from_memory(
        bytes: *const u8,
        size: i32,
        width: *mut i32,
        height: *mut i32,
        channels: *mut i32,
        wanted: i32,
    ) -> *mut u8;
    fn stbi_image_free(pixels: *mut u8);
}

/// Width, height and values as stb_image reads them.
fn theirs(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
    let (mut width, mut height, mut channels) = (0, 0, 0);
    let size = i32::try_from(bytes.len()).unwrap();
    // SAFETY: the bytes and the numbers outlive the call.
    let raw = unsafe {
        let bytes = bytes.as_ptr();
        stbi_load_from_memory(bytes, size, &mut width, &mut height, &mut channels, 3)
    };
    assert!(!raw.is_null(), "stb_image reads it");
    let (width, height) = (width as u32, height as u32);
    let count = (3 * width * height) as usize;
    // SAFETY: there are three bytes for each pixel, and they are freed once.
    let values = unsafe {
        let values = std::slice::from_raw_parts(raw, count).to_vec();
        stbi_image_free(raw);
        values
    };
    (width, height, values)
}

/// The largest distance of a value from theirs.
fn distance(bytes: &[u8]) -> u8 {
    distance_up_to(bytes, u32::MAX)
}

/// The largest distance of a value from theirs in the first `columns`.
fn distance_up_to(bytes: &[u8], columns: u32) -> u8 {
    let ours = decode(bytes).expect("an image");
    let (width, height, values) = theirs(bytes);
    assert_eq!((ours.width, ours.height), (width, height));
    assert_eq!(ours.bytes.len(), values.len());
    let pairs = ours.bytes.iter().zip(values).enumerate();
    let seen = pairs.filter(|(at, _)| (*at as u32 / 3) % width < columns);
    let distances = seen.map(|(_, (ours, theirs))| ours.abs_diff(theirs));
    distances.max().unwrap_or(0)
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.as_bytes().chunks(2).map(byte).collect()
}

#[test]
fn a_png_has_exactly_the_pixels_of_llama_cpps_decoder() {
    for (name, file) in [
        ("grey 1", files::PNG_GREY_1),
        ("grey 2", files::PNG_GREY_2),
        ("grey 4", files::PNG_GREY_4),
        ("palette", files::PNG_PALETTE),
        ("interlaced", files::PNG_INTERLACED),
        ("filtered", files::PNG_FILTERED),
    ] {
        assert_eq!(distance(&hex(file)), 0, "{name}");
    }
    let value = |x: u32, y: u32| ((x * 7919) ^ (y * 104_729)) as u16;
    let wide = image::ImageBuffer::from_fn(23, 17, |x, y| {
        image::Rgba([value(x, y), value(y, x), value(x * y, 1), value(1, x)])
    });
    let wide = DynamicImage::ImageRgba16(wide);
    for kind in [
        DynamicImage::ImageLuma8(wide.to_luma8()),
        DynamicImage::ImageLumaA8(wide.to_luma_alpha8()),
        DynamicImage::ImageRgb8(wide.to_rgb8()),
        DynamicImage::ImageRgba8(wide.to_rgba8()),
        DynamicImage::ImageLuma16(wide.to_luma16()),
        DynamicImage::ImageLumaA16(wide.to_luma_alpha16()),
        DynamicImage::ImageRgb16(wide.to_rgb16()),
        wide,
    ] {
        let mut file = Cursor::new(Vec::new());
        kind.write_to(&mut file, ImageFormat::Png).unwrap();
        assert_eq!(distance(&file.into_inner()), 0, "{:?}", kind.color());
    }
    let pixel = |x: u32, y: u32| [(x * 3) as u8, (y * 2) as u8, (x * y) as u8];
    assert_eq!(distance(&png(300, 90, pixel)), 0);
}

#[test]
fn a_bmp_has_exactly_the_pixels_of_llama_cpps_decoder() {
    for (name, file, near) in [
        ("1", files::BMP_1, 0),
        ("4", files::BMP_4, 0),
        ("8", files::BMP_8, 0),
        ("32", files::BMP_32, 0),
        ("16", files::BMP_16, NARROW_NEAR),
    ] {
        let distance = distance(&hex(file));
        assert!(distance <= near, "{name} bits: {distance}");
    }
    let pixel = |x: u32, y: u32| [(x * 3) as u8, (y * 2) as u8, (x * y) as u8];
    assert_eq!(distance(&bmp(41, 30, pixel)), 0);
}

#[test]
fn a_jpeg_has_nearly_the_pixels_of_llama_cpps_decoder() {
    for (name, file) in [
        ("half", files::JPEG_HALF),
        ("full", files::JPEG_FULL),
        ("passes", files::JPEG_PASSES),
        ("grey", files::JPEG_GREY),
        ("inks", files::JPEG_INKS),
    ] {
        let distance = distance(&hex(file));
        assert!(distance <= JPEG_NEAR, "{name}: {distance}");
    }
    // Where the width is odd, stb_image widens the colours of the last column otherwise than libjpeg and ours.
    let wide = hex(files::JPEG_WIDE);
    let width = decode(&wide).unwrap().width;
    assert_eq!(width % 2, 1);
    assert!(distance_up_to(&wide, width - 1) <= JPEG_NEAR);
    assert_eq!(distance(&jpeg()), 0);
}

#[test]
fn a_file_of_a_few_bytes_does_not_become_gigabytes() {
    // 60,000 x 1,900 pixels are more than there may be; 8,000 x 8,000 are not, and none of them are there.
    let cases = [
        (60_000, 1_900, "must have at most"),
        (8_000, 8_000, "cannot be read"),
    ];
    for (width, height, expect) in cases {
        let error = decode(&png_of(width, height, &[0x78, 0x01]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expect), "{error}");
    }
}
