"""Azure Cosmos DB for NoSQL as a store. The SDK is imported only when a connection opens."""
