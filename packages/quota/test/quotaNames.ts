/**
 * Names of quotas in Service Quotas, as ListServiceQuotas gives them: awslabs/bedrock-usage-analyzer (quota-index.csv, April 2026), and the
 * newest from aws-samples/sample-bedrock-quota-checker (October 2026). Per minute only.
 */
export const quotaNames: ReadonlySet<string> = new Set(
  `
Cross-Region model inference requests per minute for Anthropic Claude 3.5 Sonnet V2
Cross-Region model inference tokens per minute for Anthropic Claude 3.5 Sonnet V2
Cross-region model inference requests per minute for Amazon Nova 2 Lite
Cross-region model inference requests per minute for Amazon Nova Lite
Cross-region model inference requests per minute for Amazon Nova Micro
Cross-region model inference requests per minute for Amazon Nova Premier V1
Cross-region model inference requests per minute for Amazon Nova Pro
Cross-region model inference requests per minute for Anthropic Claude 3 Haiku
Cross-region model inference requests per minute for Anthropic Claude 3 Sonnet
Cross-region model inference requests per minute for Anthropic Claude 3.7 Sonnet V1
Cross-region model inference requests per minute for Anthropic Claude Haiku 4.5
Cross-region model inference requests per minute for Anthropic Claude Opus 4 V1
Cross-region model inference requests per minute for Anthropic Claude Opus 4.1
Cross-region model inference requests per minute for Anthropic Claude Opus 4.5
Cross-region model inference requests per minute for Anthropic Claude Opus 4.6 V1
Cross-region model inference requests per minute for Anthropic Claude Sonnet 4 V1
Cross-region model inference requests per minute for Anthropic Claude Sonnet 4.5 V1
Cross-region model inference requests per minute for Anthropic Claude Sonnet 4.6
Cross-region model inference requests per minute for Cohere Embed V4
Cross-region model inference requests per minute for DeepSeek R1 V1
Cross-region model inference requests per minute for Meta Llama 3.1 405B Instruct
Cross-region model inference requests per minute for Meta Llama 3.1 70B Instruct
Cross-region model inference requests per minute for Meta Llama 3.1 8B Instruct
Cross-region model inference requests per minute for Meta Llama 3.2 1B Instruct
Cross-region model inference requests per minute for Meta Llama 3.2 3B Instruct
Cross-region model inference requests per minute for Meta Llama 3.3 70B Instruct
Cross-region model inference requests per minute for Meta Llama 4 Maverick V1
Cross-region model inference requests per minute for Meta Llama 4 Scout V1
Cross-region model inference requests per minute for Mistral Pixtral Large 25.02 V1
Cross-region model inference requests per minute for Stable Image Conservative Upscale
Cross-region model inference requests per minute for Stable Image Creative Upscale
Cross-region model inference requests per minute for Stable Image Fast Upscale
Cross-region model inference requests per minute for Twelve Labs Marengo
Cross-region model inference requests per minute for Twelve Labs Pegasus
Cross-region model inference requests per minute for TwelveLabs Marengo Embed 3.0
Cross-region model inference tokens per minute for Amazon Nova 2 Lite
Cross-region model inference tokens per minute for Amazon Nova Lite
Cross-region model inference tokens per minute for Amazon Nova Micro
Cross-region model inference tokens per minute for Amazon Nova Premier V1
Cross-region model inference tokens per minute for Amazon Nova Pro
Cross-region model inference tokens per minute for Anthropic Claude 3 Haiku
Cross-region model inference tokens per minute for Anthropic Claude 3 Sonnet
Cross-region model inference tokens per minute for Anthropic Claude 3.7 Sonnet V1
Cross-region model inference tokens per minute for Anthropic Claude Haiku 4.5
Cross-region model inference tokens per minute for Anthropic Claude Opus 4 V1
Cross-region model inference tokens per minute for Anthropic Claude Opus 4.1
Cross-region model inference tokens per minute for Anthropic Claude Opus 4.5
Cross-region model inference tokens per minute for Anthropic Claude Opus 4.6 V1
Cross-region model inference tokens per minute for Anthropic Claude Opus 4.7
Cross-region model inference tokens per minute for Anthropic Claude Opus 4.8
Cross-region model inference tokens per minute for Anthropic Claude Opus 5
Cross-region model inference tokens per minute for Anthropic Claude Opus 5.5
Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4 V1
Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.5 V1
Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.6
Cross-region model inference tokens per minute for Anthropic Claude Sonnet 5
Cross-region model inference tokens per minute for Cohere Embed V4
Cross-region model inference tokens per minute for DeepSeek R1 V1
Cross-region model inference tokens per minute for GPT-6 Astra
Cross-region model inference tokens per minute for Meta Llama 3.1 405B Instruct
Cross-region model inference tokens per minute for Meta Llama 3.1 70B Instruct
Cross-region model inference tokens per minute for Meta Llama 3.1 8B Instruct
Cross-region model inference tokens per minute for Meta Llama 3.2 1B Instruct
Cross-region model inference tokens per minute for Meta Llama 3.2 3B Instruct
Cross-region model inference tokens per minute for Meta Llama 3.3 70B Instruct
Cross-region model inference tokens per minute for Meta Llama 4 Maverick V1
Cross-region model inference tokens per minute for Meta Llama 4 Scout V1
Cross-region model inference tokens per minute for Mistral Pixtral Large 25.02 V1
Global cross-region model inference requests per minute for Amazon Nova 2 Lite
Global cross-region model inference requests per minute for Anthropic Claude Haiku 4.5
Global cross-region model inference requests per minute for Anthropic Claude Opus 4.6 V1
Global cross-region model inference requests per minute for Anthropic Claude Sonnet 4.5 V1
Global cross-region model inference requests per minute for Anthropic Claude Sonnet 4.6
Global cross-region model inference requests per minute for Cohere Embed V4
Global cross-region model inference tokens per minute for Amazon Nova 2 Lite
Global cross-region model inference tokens per minute for Anthropic Claude Haiku 4.5
Global cross-region model inference tokens per minute for Anthropic Claude Opus 4.6 V1
Global cross-region model inference tokens per minute for Anthropic Claude Opus 4.7
Global cross-region model inference tokens per minute for Anthropic Claude Opus 4.8
Global cross-region model inference tokens per minute for Anthropic Claude Opus 5
Global cross-region model inference tokens per minute for Anthropic Claude Opus 5.5
Global cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.5 V1
Global cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.6
Global cross-region model inference tokens per minute for Anthropic Claude Sonnet 5
Global cross-region model inference tokens per minute for Cohere Embed V4
Global cross-region model inference tokens per minute for GPT-6 Astra
On-demand model inference requests per minute for AI21 Labs Jamba 1.5 Large
On-demand model inference requests per minute for AI21 Labs Jamba 1.5 Mini
On-demand model inference requests per minute for Amazon Nova 2 Multimodal Embeddings V1
On-demand model inference requests per minute for Amazon Nova Canvas
On-demand model inference requests per minute for Amazon Nova Lite
On-demand model inference requests per minute for Amazon Nova Micro
On-demand model inference requests per minute for Amazon Nova Pro
On-demand model inference requests per minute for Amazon Rerank 1.0
On-demand model inference requests per minute for Amazon Titan Image Generator G1
On-demand model inference requests per minute for Amazon Titan Image Generator G1 V2
On-demand model inference requests per minute for Amazon Titan Multimodal Embeddings G1
On-demand model inference requests per minute for Amazon Titan Text Embeddings
On-demand model inference requests per minute for Amazon Titan Text Embeddings V2
On-demand model inference requests per minute for Anthropic Claude 3 Haiku
On-demand model inference requests per minute for Anthropic Claude 3 Sonnet
On-demand model inference requests per minute for Anthropic Claude 3.5 Haiku
On-demand model inference requests per minute for Anthropic Claude 3.5 Sonnet
On-demand model inference requests per minute for Anthropic Claude 3.5 Sonnet V2
On-demand model inference requests per minute for Anthropic Claude 3.7 Sonnet V1
On-demand model inference requests per minute for Anthropic Claude Opus 4.6 V1
On-demand model inference requests per minute for Anthropic Claude Sonnet 4.6
On-demand model inference requests per minute for Cohere Command R
On-demand model inference requests per minute for Cohere Command R Plus
On-demand model inference requests per minute for Cohere Embed English
On-demand model inference requests per minute for Cohere Embed V4
On-demand model inference requests per minute for Cohere Rerank 3.5
On-demand model inference requests per minute for DeepSeek V3 V1
On-demand model inference requests per minute for DeepSeek V3.2
On-demand model inference requests per minute for GPT OSS Safeguard 20B
On-demand model inference requests per minute for Gemma 3 12B
On-demand model inference requests per minute for Gemma 3 27B
On-demand model inference requests per minute for Gemma 3 4B
On-demand model inference requests per minute for Kimi K2 Thinking
On-demand model inference requests per minute for Magistral Small 1.2
On-demand model inference requests per minute for Meta Llama 3 70B Instruct
On-demand model inference requests per minute for Meta Llama 3 8B Instruct
On-demand model inference requests per minute for Meta Llama 3.1 405B Instruct
On-demand model inference requests per minute for Meta Llama 3.1 70B Instruct
On-demand model inference requests per minute for Meta Llama 3.1 8B Instruct
On-demand model inference requests per minute for Meta Llama 3.3 70B Instruct
On-demand model inference requests per minute for MiniMax M2.5
On-demand model inference requests per minute for Minimax M2
On-demand model inference requests per minute for Minimax M2.1
On-demand model inference requests per minute for Ministral 14B 3.0
On-demand model inference requests per minute for Ministral 3B 3.0
On-demand model inference requests per minute for Ministral 8B 3.0
On-demand model inference requests per minute for Mistral 7B Instruct
On-demand model inference requests per minute for Mistral AI Mistral Small
On-demand model inference requests per minute for Mistral Devstral 2 123b
On-demand model inference requests per minute for Mistral Large
On-demand model inference requests per minute for Mistral Large 2407
On-demand model inference requests per minute for Mistral Large 3
On-demand model inference requests per minute for Mistral Mixtral 8x7b Instruct
On-demand model inference requests per minute for Moonshot AI Kimi K2.5
On-demand model inference requests per minute for NVIDIA Nemotron 3 Super 120B A12B
On-demand model inference requests per minute for NVIDIA Nemotron Nano 2
On-demand model inference requests per minute for Nemotron Nano 3 30B
On-demand model inference requests per minute for OpenAI GPT OSS 120B
On-demand model inference requests per minute for OpenAI GPT OSS 20B
On-demand model inference requests per minute for Qwen3 235B a22b 2507 V1
On-demand model inference requests per minute for Qwen3 32B V1
On-demand model inference requests per minute for Qwen3 Coder 30B a3b V1
On-demand model inference requests per minute for Qwen3 Coder 480B a35b V1
On-demand model inference requests per minute for Qwen3 Coder Next
On-demand model inference requests per minute for Qwen3 Next 80B A3B
On-demand model inference requests per minute for Qwen3 VL 235B A22B
On-demand model inference requests per minute for Twelve Labs Pegasus
On-demand model inference requests per minute for TwelveLabs Marengo Embed 3.0
On-demand model inference requests per minute for Voxtral Mini 1.0
On-demand model inference requests per minute for Voxtral Small 1.0
On-demand model inference requests per minute for Writer Palmyra Vision 7B
On-demand model inference requests per minute for Z.ai GLM 5
On-demand model inference requests per minute for Z.ai GLM-4.7
On-demand model inference requests per minute for Z.ai GLM-4.7 Flash
On-demand model inference tokens per minute for AI21 Labs Jamba 1.5 Large
On-demand model inference tokens per minute for AI21 Labs Jamba 1.5 Mini
On-demand model inference tokens per minute for Amazon Nova Lite
On-demand model inference tokens per minute for Amazon Nova Micro
On-demand model inference tokens per minute for Amazon Nova Pro
On-demand model inference tokens per minute for Amazon Titan Image Generator G1
On-demand model inference tokens per minute for Amazon Titan Image Generator G1 V2
On-demand model inference tokens per minute for Amazon Titan Multimodal Embeddings G1
On-demand model inference tokens per minute for Amazon Titan Text Embeddings
On-demand model inference tokens per minute for Amazon Titan Text Embeddings V2
On-demand model inference tokens per minute for Anthropic Claude 3 Haiku
On-demand model inference tokens per minute for Anthropic Claude 3 Sonnet
On-demand model inference tokens per minute for Anthropic Claude 3.5 Haiku
On-demand model inference tokens per minute for Anthropic Claude 3.5 Sonnet
On-demand model inference tokens per minute for Anthropic Claude 3.5 Sonnet V2
On-demand model inference tokens per minute for Anthropic Claude 3.7 Sonnet V1
On-demand model inference tokens per minute for Anthropic Claude Opus 4.6 V1
On-demand model inference tokens per minute for Anthropic Claude Sonnet 4.6
On-demand model inference tokens per minute for Cohere Command R
On-demand model inference tokens per minute for Cohere Command R Plus
On-demand model inference tokens per minute for Cohere Embed English
On-demand model inference tokens per minute for Cohere Embed V4
On-demand model inference tokens per minute for DeepSeek V3 V1
On-demand model inference tokens per minute for DeepSeek V3.2
On-demand model inference tokens per minute for GPT OSS Safeguard 20B
On-demand model inference tokens per minute for Gemma 3 12B
On-demand model inference tokens per minute for Gemma 3 27B
On-demand model inference tokens per minute for Gemma 3 4B
On-demand model inference tokens per minute for Kimi K2 Thinking
On-demand model inference tokens per minute for Magistral Small 1.2
On-demand model inference tokens per minute for Meta Llama 3 70B Instruct
On-demand model inference tokens per minute for Meta Llama 3 8B Instruct
On-demand model inference tokens per minute for Meta Llama 3.1 405B Instruct
On-demand model inference tokens per minute for Meta Llama 3.1 70B Instruct
On-demand model inference tokens per minute for Meta Llama 3.1 8B Instruct
On-demand model inference tokens per minute for Meta Llama 3.3 70B Instruct
On-demand model inference tokens per minute for MiniMax M2.5
On-demand model inference tokens per minute for Minimax M2
On-demand model inference tokens per minute for Minimax M2.1
On-demand model inference tokens per minute for Ministral 14B 3.0
On-demand model inference tokens per minute for Ministral 3B 3.0
On-demand model inference tokens per minute for Ministral 8B 3.0
On-demand model inference tokens per minute for Mistral AI Mistral 7B Instruct
On-demand model inference tokens per minute for Mistral AI Mistral Large
On-demand model inference tokens per minute for Mistral AI Mistral Small
On-demand model inference tokens per minute for Mistral AI Mixtral 8X7BB Instruct
On-demand model inference tokens per minute for Mistral Devstral 2 123b
On-demand model inference tokens per minute for Mistral Large 2407
On-demand model inference tokens per minute for Mistral Large 3
On-demand model inference tokens per minute for Moonshot AI Kimi K2.5
On-demand model inference tokens per minute for NVIDIA Nemotron 3 Super 120B A12B
On-demand model inference tokens per minute for NVIDIA Nemotron Nano 2
On-demand model inference tokens per minute for Nemotron Nano 3 30B
On-demand model inference tokens per minute for OpenAI GPT OSS 120B
On-demand model inference tokens per minute for OpenAI GPT OSS 20B
On-demand model inference tokens per minute for Qwen3 235B a22b 2507 V1
On-demand model inference tokens per minute for Qwen3 32B V1
On-demand model inference tokens per minute for Qwen3 Coder 30B a3b V1
On-demand model inference tokens per minute for Qwen3 Coder 480B a35b V1
On-demand model inference tokens per minute for Qwen3 Coder Next
On-demand model inference tokens per minute for Qwen3 Next 80B A3B
On-demand model inference tokens per minute for Qwen3 VL 235B A22B
On-demand model inference tokens per minute for Voxtral Mini 1.0
On-demand model inference tokens per minute for Voxtral Small 1.0
On-demand model inference tokens per minute for Writer Palmyra Vision 7B
On-demand model inference tokens per minute for Z.ai GLM 5
On-demand model inference tokens per minute for Z.ai GLM-4.7
On-demand model inference tokens per minute for Z.ai GLM-4.7 Flash
`.trim().split("\n")
)
