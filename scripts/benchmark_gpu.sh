#!/usr/bin/env bash
# What is to be measured on a GPU, unattended: training steps beside the peers, and the paper's
# protocol on MNIST. Stopped at any moment and started again, it goes on where it was.
#
#     scripts/benchmark_gpu.sh              # into outputs/reference/gpu
#     scripts/benchmark_gpu.sh /tmp/gpu 3   # elsewhere, 3 repetitions
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-outputs/reference/gpu}
repetitions=${2:-10}
mkdir -p "$out"

python -c 'import torch; assert torch.cuda.is_available(), "no GPU: torch.cuda.is_available() is False"'
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv > "$out/device.csv"

for row in latent rk4 cnf small_cnf ode_rnn euler midpoint mnist mnist_bosh3 mnist_bf16; do
  if [ ! -e "$out/$row/training_speed.json" ]; then
    rm -rf "$out/$row.part"
    python scripts/benchmark_training.py --device cuda --rows "$row" --repetitions "$repetitions" --out "$out/$row.part"
    mv "$out/$row.part" "$out/$row"
  fi
done

for experiment in mnist_odenet mnist_resnet mnist_rknet; do
  node-run experiment="$experiment" protocol=paper trainer.device=cuda resume=auto outputs="$out/runs"
done
