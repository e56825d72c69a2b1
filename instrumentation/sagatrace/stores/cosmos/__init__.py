"""Azure Cosmos DB for NoSQL as a store. The SDK is imported when a connection opens, never before."""
