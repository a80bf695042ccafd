//! Where a model computes: on the CPU, on devices, or on both. Pure.

/// Where the parts of a model are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Layers on a device, the output counted as one.
    pub device_layers: u32,
    /// All layers but the output.
    pub layers: u32,
    /// KV cells of layers on a device are there too.
    pub cells_on_device: bool,
}

impl Placement {
    /// A model that is on the CPU as a whole.
    #[cfg(test)]
    pub const CPU: Placement = Placement {
        device_layers: 0,
        layers: 1,
        cells_on_device: false,
    };

    /// Whether the CPU only starts what a device computes: a step takes one core then.
    pub fn is_on_device(self) -> bool {
        self.device_layers > self.layers && self.cells_on_device
    }

    /// Whether attention is computed on the CPU in every layer.
    pub fn attends_on_cpu(self) -> bool {
        self.device_layers == 0 || !self.cells_on_device
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_is_where_the_cells_are_and_the_output_layer_counts_as_one_more() {
        let at = |device_layers, cells_on_device| {
            let placement = Placement {
                device_layers,
                layers: 30,
                cells_on_device,
            };
            (placement.attends_on_cpu(), placement.is_on_device())
        };
        assert_eq!(at(0, true), (true, false));
        assert_eq!(at(1, true), (false, false));
        assert_eq!(at(30, true), (false, false));
        assert_eq!(at(31, true), (false, true));
        assert_eq!(at(31, false), (true, false));
    }
}
