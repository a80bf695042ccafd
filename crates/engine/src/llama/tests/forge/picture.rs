//! Images in the three formats, written as plainly as each allows.

/// A BMP of `width` x `height` pixels whose bytes `pixel` makes of their place.
pub(crate) fn bmp(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let row = (width * 3).next_multiple_of(4);
    let mut bytes = b"BM".to_vec();
    for number in [54 + row * height, 0, 54, 40, width, height] {
        bytes.extend(number.to_le_bytes());
    }
    // One plane, 24 bits for each pixel, nothing packed.
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(24_u16.to_le_bytes());
    bytes.extend([0; 24]);
    for y in (0..height).rev() {
        let start = bytes.len();
        for x in 0..width {
            let [red, green, blue] = pixel(x, y);
            bytes.extend([blue, green, red]);
        }
        bytes.resize(start + row as usize, 0);
    }
    bytes
}

/// An image unlike those of other seeds.
pub(crate) fn picture(seed: u8) -> Vec<u8> {
    bmp(40, 30, |x, y| {
        let stripe = (x * u32::from(seed % 7 + 1) + y * u32::from(seed % 5)) as u8;
        [stripe.wrapping_mul(5), seed.wrapping_mul(37), stripe ^ seed]
    })
}

/// A PNG of the same pixels: a stream that is not compressed.
pub(crate) fn png(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let mut lines = Vec::new();
    for y in 0..height {
        // Each line begins with its filter, which is none.
        lines.push(0);
        (0..width).for_each(|x| lines.extend(pixel(x, y)));
    }
    let mut stream = vec![0x78, 0x01];
    let blocks = lines.chunks(usize::from(u16::MAX));
    let last = blocks.len() - 1;
    for (index, block) in blocks.enumerate() {
        let length = block.len() as u16;
        stream.push(u8::from(index == last));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler(&lines).to_be_bytes());
    png_of(width, height, &stream)
}

/// A PNG whose pixels are what `stream` unpacks to.
pub(crate) fn png_of(width: u32, height: u32, stream: &[u8]) -> Vec<u8> {
    // 8 bits for each of three colours, in the only methods that there are.
    let facts = [8, 2, 0, 0, 0];
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &facts].concat();
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in [(b"IHDR", &header[..]), (b"IDAT", stream), (b"IEND", &[])] {
        bytes.extend((content.len() as u32).to_be_bytes());
        let named = [&name[..], content].concat();
        bytes.extend(&named);
        bytes.extend(crc(&named).to_be_bytes());
    }
    bytes
}

/// A JPEG of 8 x 8 grey pixels: one block that differs from the middle of its range by nothing.
pub(crate) fn jpeg() -> Vec<u8> {
    let table = |kind: u8| [&[kind, 1][..], &[0; 15], &[0]].concat();
    let mut bytes = vec![0xff, 0xd8];
    for (marker, content) in [
        // Nothing is divided away.
        (0xdb, [&[0][..], &[1; 64]].concat()),
        // 8 bits, 8 x 8, one colour.
        (0xc0, vec![8, 0, 8, 0, 8, 1, 1, 0x11, 0]),
        // One code each: no difference, and the end of the block.
        (0xc4, table(0x00)),
        (0xc4, table(0x10)),
        (0xda, vec![1, 1, 0, 0, 63, 0]),
    ] {
        bytes.extend([0xff, marker]);
        bytes.extend((content.len() as u16 + 2).to_be_bytes());
        bytes.extend(content);
    }
    bytes.extend([0x3f, 0xff, 0xd9]);
    bytes
}

fn adler(bytes: &[u8]) -> u32 {
    let next = |(a, b): (u32, u32), byte: &u8| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (a + b) % 65_521)
    };
    let (a, b) = bytes.iter().fold((1, 0), next);
    b << 16 | a
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| match crc & 1 {
            0 => crc >> 1,
            _ => crc >> 1 ^ 0xedb8_8320,
        })
    })
}
